import { expect, it } from 'vitest'
import { cases, expected, killedAt, type Outcome } from './kill.ts'

const runs = 25
/** The proof ends by then; what it has not come to is said, never passed over. */
const budgetMs = 9 * 60_000
const atOnce = 6

it(`up to ${runs} kills at each of ${cases.length} moments end as the rules say`, {
  timeout: budgetMs + 60_000,
}, async ({ onTestFinished }) => {
  const until = performance.now() + budgetMs
  // Round by round, so that a budget that runs out has cut the last rounds and no moment.
  const queue = Array.from({ length: runs }, () => cases).flat()
  const planned = queue.length
  const wrong: { moment: string; spending: string; outcome: Outcome | string }[] = []
  let done = 0

  async function worker(): Promise<void> {
    while (performance.now() < until) {
      const next = queue.shift()
      if (!next) return
      const { moment, spending } = next
      let close = async () => {}
      onTestFinished(() => close())
      const outcome = await killedAt(moment, spending, (end) => {
        close = end
      }).catch((error: unknown) => String(error))
      await close()
      close = async () => {}
      done++
      const right = JSON.stringify(expected(moment, spending))
      if (JSON.stringify(outcome) !== right) wrong.push({ moment, spending, outcome })
    }
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
  console.log(
    `kills: ${done} of ${planned} done, at least ${Math.floor(done / cases.length)} at each moment, ${wrong.length} ended otherwise`,
  )
  expect(wrong).toEqual([])
  expect(done).toBeGreaterThanOrEqual(cases.length)
})

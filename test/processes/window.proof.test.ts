import { expect, it, onTestFinished } from 'vitest'
import { House } from './house.ts'

const renewals = 200

it('an answer that has been read is recorded at once: the only window in which one can be lost', async () => {
  const house = await House.open('single-use', {})
  onTestFinished(() => house.close())
  const child = await house.child()
  await house.addDueAccount('a')
  const windows = (await child.ask({ do: 'measure', accountId: 'a', renewals })) as number[]
  const sorted = windows.toSorted((a, b) => a - b)
  const at = (share: number) => Math.round(sorted[Math.ceil(share * sorted.length) - 1] ?? Number.NaN)
  console.log(
    `window between answer and record: median ${at(0.5)} µs, p99 ${at(0.99)} µs, longest ${at(1)} µs over ${windows.length} renewals`,
  )
  expect(windows.length).toBe(renewals)
  expect(house.issuer.tokenRequests()).toBe(renewals)
  expect(house.issuer.reuses()).toBe(0)
})

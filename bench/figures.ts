/** From samples to what is said of them. */

export function median(samples: readonly number[]): number {
  return percentile(samples, 50)
}

/** Nearest rank; `percent` from 0 to 100. */
export function percentile(samples: readonly number[], percent: number): number {
  const sorted = [...samples].sort((a, b) => a - b)
  const rank = Math.max(Math.ceil((percent / 100) * sorted.length), 1)
  return sorted[rank - 1] ?? Number.NaN
}

/**
 * Takes turns, so that whatever else the machine does hits all alike; each contestant's samples. The order turns round
 * from one round to the next, and a first round warms up and is not counted.
 */
export async function alternately<Name extends string>(
  contestants: Readonly<Record<Name, () => number | Promise<number>>>,
  rounds: number,
): Promise<Record<Name, number[]>> {
  const entries = Object.entries(contestants) as [Name, () => number | Promise<number>][]
  const samples = Object.fromEntries(entries.map(([name]) => [name, []])) as unknown as Record<Name, number[]>
  for (let round = 0; round <= rounds; round++) {
    for (const [name, run] of round % 2 === 0 ? entries : entries.toReversed()) {
      const sample = await run()
      if (round > 0) samples[name].push(sample)
    }
  }
  return samples
}

/** One line of the table. */
export interface Row {
  what: string
  measured: string
  /** What it is held against, measured in the same run; or nothing, where the figure speaks for itself. */
  yardstick?: string
  ratio?: string
  aim?: string
}

export function ms(value: number): string {
  return `${value.toFixed(value < 10 ? 2 : 0)} ms`
}

export function perSecond(value: number): string {
  return value >= 1e6 ? `${(value / 1e6).toFixed(1)} M/s` : `${Math.round(value).toLocaleString('en')}/s`
}

export function table(rows: readonly Row[]): string {
  const heads: readonly (keyof Row)[] = ['what', 'measured', 'yardstick', 'ratio', 'aim']
  const cells = [[...heads] as string[], ...rows.map((row) => heads.map((head) => row[head] ?? ''))]
  const widths = heads.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)))
  return cells
    .map((row) =>
      row
        .map((cell, at) => cell.padEnd(widths[at] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

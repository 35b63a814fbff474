/** Did you mean …? */

/** The known word closest to a mistyped one: within two edits, or one that begins as it does. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const typed = word.toLowerCase()
  let best: { candidate: string; distance: number } | undefined
  for (const candidate of known) {
    const distance = edits(typed, candidate.toLowerCase())
    // Two edits turn any two-letter word into any other.
    if (distance <= 2 && distance < candidate.length - 1 && (!best || distance < best.distance)) {
      best = { candidate, distance }
    }
  }
  if (best) return best.candidate
  return typed.length < 2 ? undefined : known.find((candidate) => candidate.toLowerCase().startsWith(typed))
}

/** ` Did you mean "kite"?`, or which there are, or nothing. */
export function suggestion(word: string, known: readonly string[], these: string): string {
  const near = nearest(word, known)
  if (near !== undefined) return ` Did you mean "${near}"?`
  return known.length === 0 ? '' : ` ${these}: ${known.join(', ')}.`
}

/** Insertions, deletions, replacements and swaps of neighbours that turn one word into the other. */
function edits(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, column) => column)]
  const cell = (i: number, j: number) => rows[i]?.[j] ?? 0
  for (let i = 1; i <= a.length; i++) {
    rows.push([i])
    for (let j = 1; j <= b.length; j++) {
      const replaced = cell(i - 1, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1)
      let least = Math.min(cell(i - 1, j) + 1, cell(i, j - 1) + 1, replaced)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        least = Math.min(least, cell(i - 2, j - 2) + 1)
      }
      rows[i]?.push(least)
    }
  }
  return cell(a.length, b.length)
}

/** Columns, indents and colour for a terminal. Colour only repeats what the words say. */

import { styleText } from 'node:util'

export type Tone = 'good' | 'doubtful' | 'bad' | 'quiet' | 'strong'

const formats = { good: 'green', doubtful: 'yellow', bad: 'red', quiet: 'dim', strong: 'bold' } as const

export function paint(text: string, tone: Tone, colour: boolean): string {
  // Whether the terminal wants colour is decided once, in `terminal.ts`.
  return colour ? styleText(formats[tone], text, { validateStream: false }) : text
}

/** Cells side by side, two spaces apart, the last one ragged. `paintCell` runs after the widths are known. */
export function columns(
  rows: readonly (readonly string[])[],
  paintCell: (text: string, row: number, column: number) => string = (text) => text,
): string[] {
  const widths: number[] = []
  for (const row of rows) {
    row.forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, cell.length)
    })
  }
  return rows.map((row, index) =>
    row
      .map((cell, column) => {
        const gap = column === row.length - 1 ? '' : ' '.repeat((widths[column] ?? 0) - cell.length + 2)
        return paintCell(cell, index, column) + gap
      })
      .join('')
      .trimEnd(),
  )
}

/** Breaks at spaces so that no line is longer than `width`; a longer word (a path, a URL) stays whole. */
export function wrap(text: string, width: number, indent = ''): string {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(/\s+/)) {
    if (line !== '' && line.length + 1 + word.length > width - indent.length) {
      lines.push(line)
      line = word
    } else {
      line = line === '' ? word : `${line} ${word}`
    }
  }
  lines.push(line)
  return lines.map((each) => indent + each).join('\n')
}

/** `ends      06:00 tomorrow`, wrapped under its own text. */
export function labelled(label: string, text: string, width: number, indent = '  ', labelWidth = 11): string {
  const hanging = ' '.repeat(indent.length + labelWidth)
  return indent + label.padEnd(labelWidth) + wrap(text, width, hanging).slice(hanging.length)
}

/** Below the options of a command's help: what else there is to know, and one example. */
export function afterHelp(example: string, ...paragraphs: string[]): string {
  return ['', ...paragraphs.map((each) => `${wrap(each, 80)}\n`), 'Example:', `  ${example}`].join('\n')
}

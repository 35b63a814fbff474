/**
 * A broker's own words in parentheses, or nothing: a help to a person, never something to decide by.
 *
 * The body may hold anything: the token we sent, a number that is somebody's PIN, a link to a false login page,
 * a megabyte. So only short plain words pass, without four digits in a row; each other word becomes `…`.
 */
export function quote(words: string | undefined): string {
  if (words === undefined) return ''
  const plain = words
    .slice(0, mostRead)
    .replaceAll(/[`"]/g, '')
    .split(/\s+/)
    .filter((word) => word !== '')
    .map((word) => (/^[A-Za-z0-9_'-]{1,20}[.,:;!?]?$/.test(word) && !/\d{4}/.test(word) ? word : '…'))
    .join(' ')
    .replace(/[.,:;!?]$/, '')
  return /[a-z]/i.test(plain) ? ` ("${plain}")` : ''
}

/** Brokers' own messages are a line long. */
const mostRead = 120

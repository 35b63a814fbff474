// Reading what a client posts, as leniently or strictly as the broker at hand does.
import type { HonoRequest } from 'hono'

/** The text fields of a form or JSON body, by its content type; anything else has none. */
export async function bodyFields(
  request: HonoRequest,
  accept: ('form' | 'json')[],
): Promise<Record<string, string>> {
  const type = request.header('content-type') ?? ''
  const text = await request.text()
  if (accept.includes('form') && type.startsWith('application/x-www-form-urlencoded')) {
    return Object.fromEntries(new URLSearchParams(text))
  }
  if (accept.includes('json') && type.startsWith('application/json')) {
    return Object.fromEntries(
      Object.entries(objectIn(text)).filter(
        (field): field is [string, string] => typeof field[1] === 'string',
      ),
    )
  }
  return {}
}

function objectIn(text: string): object {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value : {}
  } catch {
    return {}
  }
}

/** What a key may do. */

export const scopes = [
  'status:read',
  'token:read',
  'accounts:write',
  'proxy:read',
  'proxy:trade',
  'audit:read',
  'admin',
] as const

export type Scope = (typeof scopes)[number]

export function isScope(text: string): text is Scope {
  return (scopes as readonly string[]).includes(text)
}

/** `admin` may do everything: it can make itself any other key. */
export function allows(key: { scopes: readonly string[] }, scope: Scope): boolean {
  return key.scopes.includes(scope) || key.scopes.includes('admin')
}

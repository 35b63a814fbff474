/** Records to columns and back. */

import type { ApiKey, App, Grant, Lease, LedgerEvent } from '../../core/model.ts'
import { Secret } from '../../core/secret.ts'
import type { Row } from './database.ts'

/** A record without secrets. Written by `toDoc` alone, so its shape is taken on trust. */
export function docOf<T>(row: Row): T {
  return JSON.parse(row.doc as string)
}

export function toDoc(record: object): string {
  return JSON.stringify(record)
}

export function secretsOf(row: Row): Record<string, Secret> {
  const values: Record<string, string> = JSON.parse(row.secrets as string)
  return Object.fromEntries(Object.entries(values).map(([field, value]) => [field, new Secret(value)]))
}

export function toSecrets(secrets: Readonly<Record<string, Secret>>): string {
  return JSON.stringify(
    Object.fromEntries(Object.entries(secrets).map(([field, secret]) => [field, secret.expose()])),
  )
}

export function appOf(row: Row): App {
  return { ...docOf<App>(row), credentials: secretsOf(row) }
}

export function appColumns({ credentials, ...app }: App): { doc: string; secrets: string } {
  return { doc: toDoc(app), secrets: toSecrets(credentials) }
}

export function grantOf(row: Row): Grant {
  const grant = docOf<Grant>(row)
  const { accessToken, refreshToken } = secretsOf(row)
  if (!accessToken) throw new SyntaxError('a grant without an access token')
  return {
    ...grant,
    accessToken,
    ...(refreshToken && { refresh: { ...grant.refresh, token: refreshToken } }),
  }
}

export function grantColumns({ accessToken, refresh, ...grant }: Grant): { doc: string; secrets: string } {
  const { token, ...shown } = refresh ?? {}
  return {
    doc: toDoc({ ...grant, ...(refresh && { refresh: shown }) }),
    secrets: toSecrets({ accessToken, ...(token && { refreshToken: token }) }),
  }
}

export function leaseOf(row: Row | undefined): Lease | undefined {
  return row && ({ ...row } as unknown as Lease)
}

export function eventOf(row: Row): LedgerEvent {
  const { tenant_id, account_id, generation, previous_hash, ...same } = row
  return {
    ...same,
    tenantId: tenant_id,
    ...(account_id !== null && { accountId: account_id }),
    ...(generation !== null && { generation }),
    previousHash: previous_hash,
  } as unknown as LedgerEvent
}

export function keyOf(row: Row): ApiKey {
  const { tenant_id, created_at, revoked_at, scopes, ...same } = row
  return {
    ...same,
    tenantId: tenant_id,
    scopes: JSON.parse(scopes as string),
    createdAt: created_at,
    ...(revoked_at !== null && { revokedAt: revoked_at }),
  } as unknown as ApiKey
}

/** Every statement that is sent to a vault once it is open, by table. */

export const meta = {
  load: 'SELECT value FROM meta WHERE name = :name',
  save: 'INSERT INTO meta (name, value) VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET value = excluded.value',
}

export const apps = {
  list: 'SELECT doc, secrets FROM apps WHERE tenant_id = :tenantId ORDER BY id',
  load: 'SELECT version, doc, secrets FROM apps WHERE tenant_id = :tenantId AND id = :id',
  byFingerprint: 'SELECT tenant_id, id FROM apps WHERE fingerprint = :fingerprint',
  save: `
    INSERT INTO apps (tenant_id, id, version, fingerprint, doc, secrets)
    VALUES (:tenantId, :id, :version, :fingerprint, :doc, :secrets)
    ON CONFLICT (tenant_id, id) DO UPDATE
    SET version = excluded.version, fingerprint = excluded.fingerprint, doc = excluded.doc, secrets = excluded.secrets`,
  inUse: 'SELECT id FROM accounts WHERE tenant_id = :tenantId AND app_id = :id LIMIT 1',
  remove: 'DELETE FROM apps WHERE tenant_id = :tenantId AND id = :id',
}

export const accounts = {
  list: 'SELECT doc FROM accounts WHERE tenant_id = :tenantId ORDER BY id',
  load: 'SELECT version, doc FROM accounts WHERE tenant_id = :tenantId AND id = :id',
  save: `
    INSERT INTO accounts (tenant_id, id, version, app_id, paused, doc)
    VALUES (:tenantId, :id, :version, :appId, :paused, :doc)
    ON CONFLICT (tenant_id, id) DO UPDATE
    SET version = excluded.version, app_id = excluded.app_id, paused = excluded.paused, doc = excluded.doc`,
  remove: 'DELETE FROM accounts WHERE tenant_id = :tenantId AND id = :id',
}

export const people = {
  list: 'SELECT doc FROM people WHERE tenant_id = :tenantId ORDER BY id',
  load: 'SELECT version, doc FROM people WHERE tenant_id = :tenantId AND id = :id',
  save: `
    INSERT INTO people (tenant_id, id, version, doc) VALUES (:tenantId, :id, :version, :doc)
    ON CONFLICT (tenant_id, id) DO UPDATE SET version = excluded.version, doc = excluded.doc`,
}

export const destinations = {
  list: 'SELECT doc FROM destinations WHERE tenant_id = :tenantId ORDER BY id',
  load: 'SELECT version, doc FROM destinations WHERE tenant_id = :tenantId AND id = :id',
  save: `
    INSERT INTO destinations (tenant_id, id, version, doc) VALUES (:tenantId, :id, :version, :doc)
    ON CONFLICT (tenant_id, id) DO UPDATE SET version = excluded.version, doc = excluded.doc`,
  remove: 'DELETE FROM destinations WHERE tenant_id = :tenantId AND id = :id',
}

export const intents = {
  list: `
    SELECT doc FROM intents WHERE tenant_id = :tenantId AND account_id = :accountId
    ORDER BY prepared_at DESC, key DESC`,
  load: 'SELECT version, doc FROM intents WHERE tenant_id = :tenantId AND account_id = :accountId AND key = :key',
  save: `
    INSERT INTO intents (tenant_id, account_id, key, version, prepared_at, doc)
    VALUES (:tenantId, :accountId, :key, :version, :preparedAt, :doc)
    ON CONFLICT (tenant_id, account_id, key) DO UPDATE
    SET version = excluded.version, prepared_at = excluded.prepared_at, doc = excluded.doc`,
}

export const grants = {
  list: `
    SELECT doc, secrets FROM grants
    WHERE tenant_id = :tenantId AND account_id = :accountId AND (:slot IS NULL OR slot = :slot)
    ORDER BY generation DESC LIMIT :limit`,
  load: `
    SELECT doc, secrets FROM grants
    WHERE tenant_id = :tenantId AND account_id = :accountId AND generation = :generation`,
  byId: 'SELECT doc, secrets FROM grants WHERE tenant_id = :tenantId AND account_id = :accountId AND id = :id',
  newest: `
    SELECT coalesce(max(generation), 0) AS generation FROM grants
    WHERE tenant_id = :tenantId AND account_id = :accountId`,
  add: `
    INSERT INTO grants (tenant_id, account_id, generation, id, slot, doc, secrets)
    VALUES (:tenantId, :accountId, :generation, :id, :slot, :doc, :secrets)`,
}

export const sessions = {
  list: 'SELECT doc FROM sessions WHERE tenant_id = :tenantId ORDER BY account_id, slot',
  load: `
    SELECT version, fence, doc FROM sessions
    WHERE tenant_id = :tenantId AND account_id = :accountId AND slot = :slot`,
  save: `
    INSERT INTO sessions (tenant_id, account_id, slot, version, fence, due_at, doc)
    VALUES (:tenantId, :accountId, :slot, :version, :fence, :dueAt, :doc)
    ON CONFLICT (tenant_id, account_id, slot) DO UPDATE
    SET version = excluded.version, fence = excluded.fence, due_at = excluded.due_at, doc = excluded.doc`,
  /** Its document and version stay, so that whoever is about to save it does not lose the race. */
  makeDue: `
    UPDATE sessions SET due_at = min(due_at, :at)
    WHERE tenant_id = :tenantId AND account_id = :accountId AND slot = :slot`,
  due: `
    SELECT sessions.tenant_id, sessions.account_id, slot, due_at FROM sessions
    JOIN accounts ON accounts.tenant_id = sessions.tenant_id AND accounts.id = sessions.account_id
    WHERE due_at <= :at AND paused = 0
    ORDER BY due_at LIMIT :limit`,
  nextDue: `
    SELECT due_at FROM sessions
    JOIN accounts ON accounts.tenant_id = sessions.tenant_id AND accounts.id = sessions.account_id
    WHERE paused = 0
    ORDER BY due_at LIMIT 1`,
}

export const loginRequests = {
  loadOpen: `
    SELECT doc FROM login_requests
    WHERE tenant_id = :tenantId AND account_id = :accountId AND satisfied_at IS NULL`,
  add: `
    INSERT INTO login_requests (tenant_id, account_id, id, doc) VALUES (:tenantId, :accountId, :id, :doc)`,
  satisfy: `
    UPDATE login_requests SET satisfied_at = :at
    WHERE tenant_id = :tenantId AND account_id = :accountId AND satisfied_at IS NULL`,
}

export const loginAttempts = {
  load: 'SELECT used_at, doc FROM login_attempts WHERE state_hash = :stateHash',
  add: `
    INSERT INTO login_attempts (state_hash, tenant_id, account_id, used_at, doc)
    VALUES (:stateHash, :tenantId, :accountId, :usedAt, :doc)`,
  use: 'UPDATE login_attempts SET used_at = :at WHERE state_hash = :stateHash',
}

export const deliveries = {
  list: 'SELECT doc FROM deliveries WHERE tenant_id = :tenantId ORDER BY account_id, slot, destination_id',
  listOfAccount: `
    SELECT doc FROM deliveries WHERE tenant_id = :tenantId AND account_id = :accountId
    ORDER BY slot, destination_id`,
  load: `
    SELECT version, doc FROM deliveries
    WHERE tenant_id = :tenantId AND account_id = :accountId AND slot = :slot AND destination_id = :destinationId`,
  save: `
    INSERT INTO deliveries (tenant_id, account_id, slot, destination_id, version, doc)
    VALUES (:tenantId, :accountId, :slot, :destinationId, :version, :doc)
    ON CONFLICT (tenant_id, account_id, slot, destination_id) DO UPDATE
    SET version = excluded.version, doc = excluded.doc`,
  remove: `
    DELETE FROM deliveries
    WHERE tenant_id = :tenantId AND account_id = :accountId AND slot = :slot AND destination_id = :destinationId`,
}

/** A lease is held while `until` lies ahead. Its row stays for ever, because the fence must never fall. */
export const leases = {
  load: 'SELECT name, holder, fence, until FROM leases WHERE name = :name AND until > :now',
  take: `
    INSERT INTO leases (name, holder, fence, until) VALUES (:name, :holder, 1, :until)
    ON CONFLICT (name) DO UPDATE
    SET holder = excluded.holder,
        until = excluded.until,
        fence = CASE WHEN leases.until > :now THEN leases.fence ELSE leases.fence + 1 END
    WHERE leases.until <= :now OR leases.holder = excluded.holder
    RETURNING name, holder, fence, until`,
  extend: `
    UPDATE leases SET until = :until WHERE name = :name AND holder = :holder AND fence = :fence AND until > :now
    RETURNING name, holder, fence, until`,
  drop: 'UPDATE leases SET until = 0 WHERE name = :name AND holder = :holder AND fence = :fence',
}

export const breakers = {
  load: 'SELECT version, doc FROM breakers WHERE key = :key',
  save: `
    INSERT INTO breakers (key, version, doc) VALUES (:key, :version, :doc)
    ON CONFLICT (key) DO UPDATE SET version = excluded.version, doc = excluded.doc`,
}

export const tenants = {
  list: `
    SELECT tenant_id FROM apps UNION SELECT tenant_id FROM accounts UNION SELECT tenant_id FROM people
    UNION SELECT tenant_id FROM destinations UNION SELECT tenant_id FROM api_keys
    ORDER BY tenant_id`,
}

export const events = {
  newest: 'SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1',
  add: `
    INSERT INTO events (seq, at, tenant_id, account_id, kind, text, generation, previous_hash, hash)
    VALUES (:seq, :at, :tenantId, :accountId, :kind, :text, :generation, :previousHash, :hash)`,
  ofTenant:
    'SELECT * FROM events WHERE tenant_id = :tenantId AND seq > :afterSeq ORDER BY seq DESC LIMIT :limit',
  ofAccount: `
    SELECT * FROM events WHERE tenant_id = :tenantId AND account_id = :accountId AND seq > :afterSeq
    ORDER BY seq DESC LIMIT :limit`,
  following: 'SELECT * FROM events WHERE seq > :afterSeq ORDER BY seq LIMIT :limit',
}

export const keys = {
  find: 'SELECT * FROM api_keys WHERE digest = :digest',
  list: 'SELECT * FROM api_keys WHERE tenant_id = :tenantId ORDER BY id',
  save: `
    INSERT INTO api_keys (digest, tenant_id, id, label, scopes, created_at, revoked_at)
    VALUES (:digest, :tenantId, :id, :label, :scopes, :createdAt, :revokedAt)
    ON CONFLICT (tenant_id, id) DO UPDATE
    SET digest = excluded.digest, label = excluded.label, scopes = excluded.scopes,
        revoked_at = coalesce(api_keys.revoked_at, excluded.revoked_at)`,
  revoke: `
    UPDATE api_keys SET revoked_at = :at WHERE tenant_id = :tenantId AND id = :id AND revoked_at IS NULL`,
}

/** As much as an answer needs: the pages are written and freed again in one commit, so the next writer finds them. */
export const scratch = {
  fill: 'INSERT INTO scratch (filler) VALUES (randomblob(16384))',
  clear: 'DELETE FROM scratch',
}

/** Every column that holds secrets, a page of rows at a time. */
export const secretColumns = ['apps', 'grants'].map((table) => ({
  page: `SELECT rowid AS id, secrets FROM ${table} WHERE rowid > :after ORDER BY rowid LIMIT :limit`,
  save: `UPDATE ${table} SET secrets = :secrets WHERE rowid = :id`,
}))

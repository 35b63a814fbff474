/**
 * The shape of the vault, one numbered step after the other. A step that has been released is never edited.
 *
 * A record is a JSON document beside the columns that statements look at. Secrets stand in a column of their own, so
 * that no statement meets one by accident and all can be re-sealed without touching a record. Keys, events, leases and
 * due times are plain columns. Instants are epoch milliseconds and booleans are 0 or 1, as PostgreSQL can hold them too.
 */
export const migrations: readonly string[] = [
  `
  CREATE TABLE meta (
    name   TEXT PRIMARY KEY,
    value  TEXT NOT NULL
  ) STRICT;

  CREATE TABLE apps (
    tenant_id    TEXT NOT NULL,
    id           TEXT NOT NULL,
    version      INTEGER NOT NULL,
    fingerprint  TEXT NOT NULL UNIQUE,
    doc          TEXT NOT NULL,
    secrets      TEXT NOT NULL,
    PRIMARY KEY (tenant_id, id)
  ) STRICT;

  CREATE TABLE accounts (
    tenant_id  TEXT NOT NULL,
    id         TEXT NOT NULL,
    version    INTEGER NOT NULL,
    app_id     TEXT NOT NULL,
    paused     INTEGER NOT NULL,
    doc        TEXT NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, app_id) REFERENCES apps (tenant_id, id)
  ) STRICT;
  CREATE INDEX accounts_of_app ON accounts (tenant_id, app_id);

  CREATE TABLE people (
    tenant_id  TEXT NOT NULL,
    id         TEXT NOT NULL,
    version    INTEGER NOT NULL,
    doc        TEXT NOT NULL,
    PRIMARY KEY (tenant_id, id)
  ) STRICT;

  CREATE TABLE destinations (
    tenant_id  TEXT NOT NULL,
    id         TEXT NOT NULL,
    version    INTEGER NOT NULL,
    doc        TEXT NOT NULL,
    PRIMARY KEY (tenant_id, id)
  ) STRICT;

  CREATE TABLE intents (
    tenant_id    TEXT NOT NULL,
    account_id   TEXT NOT NULL,
    key          TEXT NOT NULL,
    version      INTEGER NOT NULL,
    prepared_at  INTEGER NOT NULL,
    doc          TEXT NOT NULL,
    PRIMARY KEY (tenant_id, account_id, key),
    FOREIGN KEY (tenant_id, account_id) REFERENCES accounts (tenant_id, id) ON DELETE CASCADE
  ) STRICT;

  CREATE TABLE grants (
    tenant_id   TEXT NOT NULL,
    account_id  TEXT NOT NULL,
    generation  INTEGER NOT NULL,
    id          TEXT NOT NULL,
    slot        TEXT NOT NULL,
    doc         TEXT NOT NULL,
    secrets     TEXT NOT NULL,
    PRIMARY KEY (tenant_id, account_id, generation),
    UNIQUE (tenant_id, account_id, id),
    FOREIGN KEY (tenant_id, account_id) REFERENCES accounts (tenant_id, id) ON DELETE CASCADE
  ) STRICT;

  CREATE TABLE sessions (
    tenant_id   TEXT NOT NULL,
    account_id  TEXT NOT NULL,
    slot        TEXT NOT NULL,
    version     INTEGER NOT NULL,
    fence       INTEGER NOT NULL,
    due_at      INTEGER NOT NULL,
    doc         TEXT NOT NULL,
    PRIMARY KEY (tenant_id, account_id, slot),
    FOREIGN KEY (tenant_id, account_id) REFERENCES accounts (tenant_id, id) ON DELETE CASCADE
  ) STRICT;
  CREATE INDEX sessions_by_due ON sessions (due_at);

  CREATE TABLE login_requests (
    tenant_id     TEXT NOT NULL,
    account_id    TEXT NOT NULL,
    id            TEXT NOT NULL,
    satisfied_at  INTEGER,
    doc           TEXT NOT NULL,
    PRIMARY KEY (tenant_id, account_id, id),
    FOREIGN KEY (tenant_id, account_id) REFERENCES accounts (tenant_id, id) ON DELETE CASCADE
  ) STRICT;
  CREATE UNIQUE INDEX open_login_request ON login_requests (tenant_id, account_id) WHERE satisfied_at IS NULL;

  CREATE TABLE login_attempts (
    state_hash  TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
    account_id  TEXT NOT NULL,
    used_at     INTEGER,
    doc         TEXT NOT NULL,
    FOREIGN KEY (tenant_id, account_id) REFERENCES accounts (tenant_id, id) ON DELETE CASCADE
  ) STRICT;
  CREATE INDEX login_attempts_of_account ON login_attempts (tenant_id, account_id);

  CREATE TABLE deliveries (
    tenant_id       TEXT NOT NULL,
    account_id      TEXT NOT NULL,
    slot            TEXT NOT NULL,
    destination_id  TEXT NOT NULL,
    version         INTEGER NOT NULL,
    doc             TEXT NOT NULL,
    PRIMARY KEY (tenant_id, account_id, slot, destination_id),
    FOREIGN KEY (tenant_id, account_id) REFERENCES accounts (tenant_id, id) ON DELETE CASCADE
  ) STRICT;

  CREATE TABLE leases (
    name    TEXT PRIMARY KEY,
    holder  TEXT NOT NULL,
    fence   INTEGER NOT NULL,
    until   INTEGER NOT NULL
  ) STRICT;

  CREATE TABLE breakers (
    key      TEXT PRIMARY KEY,
    version  INTEGER NOT NULL,
    doc      TEXT NOT NULL
  ) STRICT;

  CREATE TABLE events (
    seq            INTEGER PRIMARY KEY,
    at             INTEGER NOT NULL,
    tenant_id      TEXT NOT NULL,
    account_id     TEXT,
    kind           TEXT NOT NULL,
    text           TEXT NOT NULL,
    generation     INTEGER,
    previous_hash  TEXT NOT NULL,
    hash           TEXT NOT NULL
  ) STRICT;
  CREATE INDEX events_of_tenant ON events (tenant_id, seq);
  CREATE INDEX events_of_account ON events (tenant_id, account_id, seq);

  CREATE TABLE api_keys (
    digest      TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
    id          TEXT NOT NULL,
    label       TEXT NOT NULL,
    scopes      TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    revoked_at  INTEGER,
    UNIQUE (tenant_id, id)
  ) STRICT;

  CREATE TABLE scratch (
    filler  BLOB NOT NULL
  ) STRICT;
  `,
]

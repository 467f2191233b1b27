-- The ledger's tables.
--
-- Every key leads with agent_id, so that the tables can be distributed by it, co-located (Citus). What must be unique
-- across agents (names, CAIDs, API keys) stands in small tables of its own that no reservation writes to.
-- Amounts are counts of 1e-9 USDC. Days are UTC. What is append-only refuses UPDATE and DELETE by trigger, and the
-- gateway's role may only call functions (0002_reserve.sql, 0003_admin.sql).

create schema finance;

-- Agents ------------------------------------------------------------------------------------------------------------

create table nomiqon.agents (
    agent_id         text primary key,
    name             text not null,
    status           text not null default 'active' check (status in ('active', 'paused', 'terminated')),
    metadata         jsonb not null default '{}',
    wallet_owner     text not null,           -- base58 of the key that the agent was created with
    wallet_address   text not null,           -- its associated token account for wallet_mint, derived offline
    wallet_mint      text not null,
    -- The current policy, copied from nomiqon.policies in the transaction that makes a version, so that a reservation
    -- reads one row.
    policy_version   integer not null,
    frozen           boolean not null default false,
    daily_cap        bigint check (daily_cap >= 0),
    total_cap        bigint check (total_cap >= 0),
    max_per_request  bigint check (max_per_request >= 0),
    created_at       timestamptz not null default clock_timestamp(),
    terminated_at    timestamptz
);

create table nomiqon.agent_names (             -- names of agents that are not terminated
    name      text primary key,
    agent_id  text not null
);

create table nomiqon.caid_owners (             -- a CAID belongs to one agent for good, revoked or not
    caid      text primary key,
    agent_id  text not null
);

create table nomiqon.caids (
    agent_id    text not null,
    caid        text not null,
    status      text not null default 'active' check (status in ('active', 'revoked')),
    created_at  timestamptz not null default clock_timestamp(),
    revoked_at  timestamptz,
    primary key (agent_id, caid)
);

-- Every version of every agent's policy. The document is what the API was given, merged; the rest is by whom and why.
create table nomiqon.policies (
    agent_id     text not null,
    version      integer not null,
    policy_id    text not null,
    document     jsonb not null,
    created_at   timestamptz not null default clock_timestamp(),
    created_by   text not null,
    reason       text,
    primary key (agent_id, version)
);

create table nomiqon.policy_templates (
    policy_id    text primary key,
    name         text not null unique,
    document     jsonb not null,
    created_at   timestamptz not null default clock_timestamp(),
    created_by   text not null
);

-- Money -------------------------------------------------------------------------------------------------------------

-- One row an agent: the row that is locked first by whatever moves this agent's money or changes what it may do, so
-- that a freeze that was answered precedes every later reservation. fillfactor leaves room for HOT updates.
create table nomiqon.wallets (
    agent_id  text primary key,
    balance   bigint not null default 0,       -- what is held included; below zero only by a marked overrun
    reserved  bigint not null default 0 check (reserved >= 0),
    spent     bigint not null default 0 check (spent >= 0),
    funded    boolean not null default false   -- whether money ever came in
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

create table nomiqon.agent_days (
    agent_id  text not null,
    day       date not null,
    spent     bigint not null default 0 check (spent >= 0),
    reserved  bigint not null default 0 check (reserved >= 0),
    primary key (agent_id, day)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- Token ids that were used. A `once` token is here when it is burnt; a `session` token with what it has spent.
-- Time stands before the random part, or random ids would touch a page each (measured: 46 % slower).
create table nomiqon.tokens (
    agent_id  text not null,
    caid      text not null,
    exp       bigint not null,
    jti       text not null,
    session   boolean not null,
    spent     bigint not null default 0 check (spent >= 0),
    reserved  bigint not null default 0 check (reserved >= 0),
    primary key (agent_id, caid, exp, jti)
) with (fillfactor = 80);

create table nomiqon.reservations (
    agent_id        text not null,
    day             date not null,              -- the day that the money counts against
    transaction_id  text not null,
    request_id      text not null,
    gateway_id      text not null,
    caid            text not null,
    policy_version  integer not null,           -- that allowed it
    amount          bigint not null check (amount >= 0),
    scheme          text not null,
    host            text not null,
    port            integer not null,
    method          text not null,
    model           text,
    ref             text,
    token_id        text not null,
    token_exp       bigint not null,
    token_session   boolean not null,
    token           text not null,              -- the signed token: the agent's own proof of this spend
    created_at      timestamptz not null,
    primary key (agent_id, day, transaction_id)
);
create index reservations_by_id on nomiqon.reservations (transaction_id);
create index reservations_by_gateway on nomiqon.reservations (gateway_id, transaction_id);

-- How each reservation ended. Its key is the reservation's own, so that none can end twice.
create table nomiqon.endings (
    agent_id        text not null,
    day             date not null,
    transaction_id  text not null,
    ending          text not null check (ending in ('settled', 'released')),
    amount          bigint not null check (amount >= 0),
    unknown         boolean not null default false,
    overrun         boolean not null default false,
    reason          text,                       -- of a release: why nothing was sent
    model           text,                       -- that the answer named
    ended_at        timestamptz not null,
    primary key (agent_id, day, transaction_id)
);

create table nomiqon.refusals (
    agent_id        text not null,
    day             date not null,
    transaction_id  text not null,
    caid            text not null,
    code            text not null,
    amount          bigint not null,
    policy_version  integer not null,
    token_id        text not null,
    ref             text,
    host            text not null,
    method          text not null,
    model           text,
    created_at      timestamptz not null,
    primary key (agent_id, day, transaction_id)
);
create index refusals_by_id on nomiqon.refusals (transaction_id);

-- Double entry: every movement of money, from one account to another. Accounts of an agent: `wallet`, `held`; shared
-- ones: `treasury`, `provider:<host>`. Their balances are sums and are never stored: no row is shared by two agents.
create table nomiqon.transfers (
    agent_id        text not null,
    day             date not null,
    transfer_id     bigint generated always as identity,
    kind            text not null check (kind in ('fund', 'reserve', 'settle', 'release', 'return')),
    debit           text not null,              -- the account that gives
    credit          text not null,              -- the account that takes
    amount          bigint not null check (amount > 0),
    transaction_id  text,
    reference       text,
    created_at      timestamptz not null,
    primary key (agent_id, day, transfer_id),
    check (debit <> credit)
);
create index transfers_by_id on nomiqon.transfers (transfer_id);

create table nomiqon.funding_references (      -- makes funding idempotent
    agent_id     text not null,
    reference    text not null,
    amount       bigint not null,
    created_at   timestamptz not null default clock_timestamp(),
    primary key (agent_id, reference)
);

-- The gateways and the API -------------------------------------------------------------------------------------------

create table nomiqon.gateways (
    gateway_id   text primary key,
    host         text not null,
    version      text not null,
    started_at   timestamptz not null default clock_timestamp(),
    lease_until  timestamptz not null,
    gone_at      timestamptz,                   -- when another took it for gone: from then on it can't renew
    swept_at     timestamptz                    -- when nothing of it was open any more
);

create table nomiqon.api_keys (
    key_id        text primary key,
    name          text not null,
    key_hash      text not null unique,         -- SHA-256 of a random 256-bit key
    scopes        text[] not null,
    created_at    timestamptz not null default clock_timestamp(),
    created_by    text not null,
    revoked_at    timestamptz
);

create table nomiqon.idempotency_keys (
    api_key_id       text not null,
    idempotency_key  text not null,
    fingerprint      text not null,             -- SHA-256 of method, path and body
    response         jsonb not null,
    created_at       timestamptz not null default clock_timestamp(),
    primary key (api_key_id, idempotency_key)
);

-- Append-only, whoever asks -------------------------------------------------------------------------------------------

create function nomiqon.internal_refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'nomiqon.% is append-only: % is refused', tg_table_name, lower(tg_op)
        using errcode = 'insufficient_privilege';
end $$;

do $$
declare
    name text;
begin
    foreach name in array array['reservations', 'endings', 'transfers', 'refusals', 'policies', 'funding_references'] loop
        execute format('create trigger append_only before update or delete on nomiqon.%I '
                       'for each row execute function nomiqon.internal_refuse_change()', name);
        execute format('create trigger append_only_truncate before truncate on nomiqon.%I '
                       'for each statement execute function nomiqon.internal_refuse_change()', name);
    end loop;
end $$;

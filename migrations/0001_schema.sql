-- The ledger's tables.
--
-- Every key leads with agent_id, so that the tables can be distributed by it, co-located (Citus). What must be unique
-- across agents (names, CAIDs, API keys) stands in small tables of its own that no reservation writes to.
-- Amounts are counts of 1e-9 USDC. Days are UTC. What is append-only refuses UPDATE and DELETE by trigger, and the
-- gateway's role may only call functions (0002_reserve.sql, 0003_admin.sql).

create schema finance;

-- Agents ------------------------------------------------------------------------------------------------------------

create table nomiqon.agents (
    agent_id         text collate "C" primary key,
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
    agent_id  text collate "C" not null
);

create table nomiqon.caid_owners (             -- a CAID belongs to one agent for good, revoked or not
    caid      text collate "C" primary key,
    agent_id  text collate "C" not null
);

create table nomiqon.caids (
    agent_id    text collate "C" not null,
    caid        text collate "C" not null,
    status      text not null default 'active' check (status in ('active', 'revoked')),
    created_at  timestamptz not null default clock_timestamp(),
    revoked_at  timestamptz,
    primary key (agent_id, caid)
);

-- Every version of every agent's policy. The document is what the API was given, merged; the rest is by whom and why.
create table nomiqon.policies (
    agent_id     text collate "C" not null,
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
    agent_id       text collate "C" primary key,
    balance        bigint not null default 0,       -- what is held included; below zero only by a marked overrun
    reserved       bigint not null default 0,
    spent          bigint not null default 0,
    exposed        bigint not null default 0,       -- the open reservations' bounds less what they hold
    funded         boolean not null default false,  -- whether money ever came in
    chain_seq      bigint not null default 0,       -- the head of the agent's chain: its newest transfer
    chain_hash     bytea not null default '\x0000000000000000000000000000000000000000000000000000000000000000',
    waiting_until  timestamptz,                     -- until then some gateway has a request that waits for held money
    check (reserved >= 0 and spent >= 0 and exposed >= 0)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

create table nomiqon.agent_days (
    agent_id  text collate "C" not null,
    day       date not null,
    spent     bigint not null default 0,
    reserved  bigint not null default 0,
    primary key (agent_id, day),
    check (spent >= 0 and reserved >= 0)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- Token ids that were used. A `once` token is here when it is burnt; a `session` token with what it has spent. Kept
-- until an hour after they expire, and then dropped a day's partition at a time.
-- Time stands before the random part, or random ids would touch a page each (measured: 46 % slower).
create table nomiqon.tokens (
    agent_id  text collate "C" not null,
    caid      text collate "C" not null,
    exp       bigint not null,
    jti       text collate "C" not null,
    session   boolean not null,
    spent     bigint not null default 0,
    reserved  bigint not null default 0,
    primary key (agent_id, caid, exp, jti)
) partition by range (exp);

-- One CHECK a table: each is read anew from the catalogue by every statement that writes (some 5 µs).
-- The append-only tables have a partition a day. A transaction's rows stand in the partition of the day that its money
-- counts against, so that a reservation, which is of one day, can't end twice.
create table nomiqon.reservations (
    agent_id        text collate "C" not null,
    day             date not null,              -- the day that the money counts against
    transaction_id  text collate "C" not null,
    request_id      text not null,
    gateway_id      text collate "C" not null,
    caid            text not null,
    policy_version  integer not null,           -- that allowed it
    amount          bigint not null,            -- what is held
    bound           bigint not null,            -- the most that it can cost
    overrun_limit   bigint not null,
    daily_cap       bigint,                     -- the caps that it was held against
    total_cap       bigint,
    token_max       bigint,
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
    primary key (agent_id, transaction_id, day),
    check (amount >= 0 and bound >= amount and overrun_limit >= 0)
) partition by range (day);
-- One index for two questions, since each costs every reservation a microsecond: a transaction by its id, and what a gone
-- gateway held since some time (ids sort by time).
create index reservations_by_id on nomiqon.reservations (transaction_id) include (gateway_id);

-- How each reservation ended. Its key is the reservation's own, so that none can end twice.
create table nomiqon.endings (
    agent_id        text collate "C" not null,
    day             date not null,
    transaction_id  text collate "C" not null,
    ending          text not null,              -- `settled` or `released`
    amount          bigint not null,
    unknown         boolean not null,
    overrun         boolean not null,
    reason          text,                       -- of a release: why nothing was sent; `expired`: its gateway was gone
    model           text,                       -- that the answer named
    basis           text,                       -- how the amount was computed: the price book's version, what was used
    ended_at        timestamptz not null,
    primary key (agent_id, transaction_id, day),
    check (amount >= 0 and ending in ('settled', 'released'))
) partition by range (day);

-- What a reservation really cost that had expired, and was settled in full, before its gateway came back.
create table nomiqon.corrections (
    agent_id        text collate "C" not null,
    day             date not null,
    transaction_id  text collate "C" not null,
    amount          bigint not null check (amount >= 0),
    reason          text,
    model           text,
    basis           text,
    corrected_at    timestamptz not null,
    primary key (agent_id, transaction_id, day)
) partition by range (day);

-- The price books that a `basis` names, so that every charge can be computed again.
create table nomiqon.price_books (
    version         text collate "C" primary key,   -- `pb_` and the beginning of the document's SHA-256
    document        text not null,
    kept_at         timestamptz not null
);

create table nomiqon.refusals (
    agent_id        text collate "C" not null,
    day             date not null,
    transaction_id  text collate "C" not null,
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
    primary key (agent_id, transaction_id, day)
) partition by range (day);
create index refusals_by_id on nomiqon.refusals (transaction_id);

-- Double entry: every movement of money, from one account to another. Accounts of an agent: `wallet`, `held`; shared
-- ones: `treasury`, `provider:<host>`. Their balances are sums and are never stored: no row is shared by two agents.
--
-- The transfers of an agent are a chain: `seq` counts without a gap, and each `hash` is SHA-256 over the hash before it
-- and this row's line, which tells the row and the reservation or ending that it belongs to (docs/audit.md).
create sequence nomiqon.transfer_ids;
create table nomiqon.transfers (
    agent_id         text collate "C" not null,
    seq              bigint not null,
    day              date not null,             -- of the movement
    transfer_id      bigint not null default nextval('nomiqon.transfer_ids'),
    kind             text not null,
    debit            text not null,             -- the account that gives
    credit           text not null,             -- the account that takes
    amount           bigint not null,
    transaction_id   text collate "C",
    reservation_day  date,
    reference        text,
    created_at       timestamptz not null,
    hash             bytea not null,
    primary key (agent_id, seq, day),
    check (amount >= 0 and debit <> credit
           and kind in ('fund', 'reserve', 'settle', 'release', 'return', 'correct', 'adjust'))
) partition by range (day);
create index transfers_by_id on nomiqon.transfers (transfer_id);

create table nomiqon.funding_references (      -- makes funding idempotent
    agent_id     text collate "C" not null,
    reference    text not null,
    amount       bigint not null,
    created_at   timestamptz not null default clock_timestamp(),
    primary key (agent_id, reference)
);

-- The gateways and the API -------------------------------------------------------------------------------------------

create table nomiqon.gateways (
    gateway_id   text collate "C" primary key,
    host         text not null,
    version      text not null,
    started_at   timestamptz not null default clock_timestamp(),
    lease_until  timestamptz not null,
    oldest_open  text collate "C" not null default '',  -- no transaction that it may hold sorts before this one
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

create function nomiqon.internal_make_append_only(p_table text) returns void language plpgsql as $$
begin
    execute format('create trigger append_only before update or delete on nomiqon.%I '
                   'for each row execute function nomiqon.internal_refuse_change()', p_table);
    execute format('create trigger append_only_truncate before truncate on nomiqon.%I '
                   'for each statement execute function nomiqon.internal_refuse_change()', p_table);
end $$;

do $$
begin
    perform nomiqon.internal_make_append_only(name)
    from unnest(array['reservations', 'endings', 'corrections', 'transfers', 'refusals', 'policies',
                      'funding_references', 'price_books']) name;
end $$;

-- Partitions -----------------------------------------------------------------------------------------------------------

-- Makes a partition unless it is there. A table of its own that is attached afterwards: CREATE … PARTITION OF would lock
-- the whole table against everybody.
create function nomiqon.internal_add_partition(p_table text, p_partition text, p_from text, p_to text)
returns void language plpgsql set search_path = pg_catalog, nomiqon, pg_temp as $$
begin
    if to_regclass(format('nomiqon.%I', p_partition)) is not null then
        return;
    end if;
    execute format('create table nomiqon.%I (like nomiqon.%I including defaults including constraints)', p_partition,
                   p_table);
    if p_table = 'tokens' then
        execute format('alter table nomiqon.%I set (fillfactor = 80)', p_partition);
    else
        -- The rows' triggers come with the table that it is attached to; those of a statement don't.
        execute format('create trigger append_only_truncate before truncate on nomiqon.%I '
                       'for each statement execute function nomiqon.internal_refuse_change()', p_partition);
    end if;
    execute format('alter table nomiqon.%I attach partition nomiqon.%I for values from (%L) to (%L)', p_table,
                   p_partition, p_from, p_to);
end $$;

-- Makes what today and the next days need. Called with every renewal of a lease, long before the day comes; a row without
-- a partition would be refused, and its request with it.
create function nomiqon.internal_prepare_days(p_today date)
returns void language plpgsql set search_path = pg_catalog, nomiqon, pg_temp as $$
declare
    v_name text;
    v_day date;
    v_second bigint;
begin
    if to_regclass(format('nomiqon.transfers_%s', to_char(p_today + 3, 'YYYYMMDD'))) is not null then
        return;
    end if;
    perform pg_advisory_xact_lock(420784, 3);
    for v_day in select p_today + n from generate_series(-1, 3) n loop
        v_second := extract(epoch from v_day::timestamp at time zone 'UTC');
        perform nomiqon.internal_add_partition('tokens', 'tokens_' || to_char(v_day, 'YYYYMMDD'), v_second::text,
                                               (v_second + 86400)::text);
        foreach v_name in array array['reservations', 'endings', 'corrections', 'refusals', 'transfers'] loop
            perform nomiqon.internal_add_partition(v_name, v_name || '_' || to_char(v_day, 'YYYYMMDD'), v_day::text,
                                                   (v_day + 1)::text);
        end loop;
    end loop;
end $$;

-- The time by which everything is decided: the database's own. One function, so that a test can move it.
create function nomiqon.internal_now() returns timestamptz
language plpgsql volatile  -- not sql: one that isn't inlined is parsed anew in every transaction
as $$
begin
    return clock_timestamp();
end $$;

do $$
begin
    perform nomiqon.internal_prepare_days((nomiqon.internal_now() at time zone 'UTC')::date);
end $$;

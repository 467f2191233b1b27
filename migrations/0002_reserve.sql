-- The functions on a request's way: find the agent, reserve, end, expire. They are all that the gateway's role may
-- touch on that way. The plans are pinned (index plans, generic): a plan made while a table was empty would keep its
-- sequential scan for the life of a connection.

-- Whose CAID is this? No row when nobody registered it; agents that are paused or terminated are found as well, since
-- the reservation gives the reason.
create function nomiqon.find_agent(p_caid text)
returns table (agent_id text, policy_version integer, policy_document text)
language sql stable security definer set search_path = pg_catalog, nomiqon, pg_temp
as $$
    select a.agent_id, a.policy_version, p.document::text
    from nomiqon.caid_owners o
    join nomiqon.agents a on a.agent_id = o.agent_id
    join nomiqon.policies p on p.agent_id = a.agent_id and p.version = a.policy_version
    where o.caid = p_caid
$$;

-- Whether presenting this token would be a replay. Reads only; the reservation decides.
create function nomiqon.is_token_used(p_agent text, p_caid text, p_exp bigint, p_jti text)
returns boolean
language sql stable security definer set search_path = pg_catalog, nomiqon, pg_temp
as $$
    select exists (select from nomiqon.tokens t
                   where t.agent_id = p_agent and t.caid = p_caid and t.exp = p_exp and t.jti = p_jti and not t.session)
$$;

-- What an agent could reserve at this moment with a token: the least of its wallet, its caps, its limit for a request,
-- and what is left of the token; never below 0. Reads only, and promises nothing.
create function nomiqon.affordable(p_agent text, p_caid text, p_exp bigint, p_jti text, p_token_max bigint)
returns bigint
language sql stable security definer set search_path = pg_catalog, nomiqon, pg_temp
as $$
    select greatest(0, least(
        w.balance - w.reserved,
        h.max_per_request,
        h.daily_cap - coalesce(d.spent + d.reserved, 0),
        h.total_cap - w.spent - w.reserved,
        p_token_max - coalesce(t.spent + t.reserved, 0)))
    from nomiqon.wallets w
    join nomiqon.agents h on h.agent_id = w.agent_id
    left join nomiqon.agent_days d
         on d.agent_id = w.agent_id and d.day = (nomiqon.internal_now() at time zone 'UTC')::date
    left join nomiqon.tokens t
         on t.agent_id = w.agent_id and t.caid = p_caid and t.exp = p_exp and t.jti = p_jti
    where w.agent_id = p_agent
$$;

-- Keeps a price book under its version, so that what was charged by it can be computed again.
create function nomiqon.keep_price_book(p_version text, p_document text) returns void
language sql security definer set search_path = pg_catalog, nomiqon, pg_temp
as $$
    insert into nomiqon.price_books (version, document, kept_at)
    values (p_version, p_document, nomiqon.internal_now())
    on conflict do nothing
$$;

-- The chain ------------------------------------------------------------------------------------------------------------

-- Every transfer is a line, a JSON array, and its hash is SHA-256 over the hash before it and the line. docs/audit.md
-- has the lines' members; nomiqon.internal_lines (0005_audit.sql) builds them again from what is stored.
create function nomiqon.internal_micros(p_time timestamptz) returns bigint
language sql stable parallel safe  -- not immutable, which extract isn't: then it would not be inlined, and cost 25 µs
as $$ select (extract(epoch from p_time) * 1000000)::bigint $$;

-- Writes one movement that is no reservation's. The caller holds the wallet's lock, and changes the balance itself.
create function nomiqon.internal_journal(p_agent text, p_kind text, p_debit text, p_credit text, p_amount bigint,
                                         p_transaction text, p_reference text, p_at timestamptz)
returns void language plpgsql set search_path = pg_catalog, nomiqon, pg_temp
as $$
declare
    v_day date := (p_at at time zone 'UTC')::date;
    v_seq bigint;
    v_hash bytea;
begin
    select w.chain_seq + 1, w.chain_hash into v_seq, v_hash from nomiqon.wallets w where w.agent_id = p_agent;
    v_hash := sha256(v_hash || convert_to(json_build_array(
        p_kind, v_seq, p_agent, v_day, nomiqon.internal_micros(p_at), p_debit, p_credit, p_amount, p_transaction,
        p_reference)::text, 'UTF8'));
    insert into nomiqon.transfers (agent_id, seq, day, kind, debit, credit, amount, transaction_id, reference, created_at,
                                   hash)
    values (p_agent, v_seq, v_day, p_kind, p_debit, p_credit, p_amount, p_transaction, p_reference, p_at, v_hash);
    update nomiqon.wallets set chain_seq = v_seq, chain_hash = v_hash where agent_id = p_agent;
end $$;

-- Whoever waits for held money may be helped by what has changed: more money, another policy. The caller holds the
-- wallet's lock.
create function nomiqon.internal_wake(p_agent text)
returns void language plpgsql set search_path = pg_catalog, nomiqon, pg_temp
as $$
begin
    update nomiqon.wallets set waiting_until = null where agent_id = p_agent and waiting_until > nomiqon.internal_now();
    if found then
        perform pg_notify('nomiqon_money', p_agent);
    end if;
end $$;

-- Moves money between the treasury and a wallet: into it where the amount is above zero, out of it below. The caller
-- holds the wallet's lock, and has seen that what it takes is there.
create function nomiqon.internal_treasury_transfer(p_agent text, p_kind text, p_amount bigint, p_reference text)
returns void language plpgsql set search_path = pg_catalog, nomiqon, pg_temp
as $$
begin
    if exists (select from nomiqon.wallets w where w.agent_id = p_agent
               and w.balance::numeric + p_amount > 9223372036854775807) then
        perform nomiqon.internal_fail('NQ422', 'the wallet can''t hold so much', '/amount');
    end if;
    update nomiqon.wallets set balance = balance + p_amount, funded = funded or p_amount > 0 where agent_id = p_agent;
    perform nomiqon.internal_journal(
        p_agent, p_kind, case when p_amount > 0 then 'treasury' else 'wallet' end,
        case when p_amount > 0 then 'wallet' else 'treasury' end, abs(p_amount), null, p_reference, nomiqon.internal_now());
    if p_amount > 0 then
        perform nomiqon.internal_wake(p_agent);
    end if;
end $$;

-- What a terminated agent's wallet still has goes back to the treasury once nothing is held. The caller holds the
-- wallet's lock.
create function nomiqon.internal_return_funds(p_agent text, p_at timestamptz)
returns void language plpgsql set search_path = pg_catalog, nomiqon, pg_temp
as $$
declare
    v_left bigint;
begin
    select w.balance into v_left from nomiqon.wallets w
    where w.agent_id = p_agent and w.reserved = 0 and w.balance > 0
      and exists (select from nomiqon.agents a where a.agent_id = p_agent and a.status = 'terminated');
    if found then
        update nomiqon.wallets set balance = 0 where agent_id = p_agent;
        perform nomiqon.internal_journal(p_agent, 'return', 'wallet', 'treasury', v_left, null, null, p_at);
    end if;
end $$;

-- Reserve and end ------------------------------------------------------------------------------------------------------

-- EndCommand and ReserveCommand of ledger.h, as a batch carries them. `agent` is a place in the batch's list of agents.
create type nomiqon.end_command as (
    agent integer, transaction text, day date, ending text, cost bigint, unknown boolean, reason text, model text,
    basis text);
create type nomiqon.reserve_command as (
    agent integer, shared integer, wait_ms integer, transaction text, request text, caid text, version integer,
    decision text, bound bigint, typical bigint, overrun_limit bigint, token text, jti text, exp bigint, session boolean,
    token_max bigint, ref text, scheme text, host text, port integer, method text, model text);

-- What becomes of one: what there is to write, and what there is to answer.
create type nomiqon.end_result as (
    outcome text, cost bigint, held bigint, provider text, seq bigint, hash bytea, rest_hash bytea);
create type nomiqon.refuse_result as (
    n integer, burnt boolean, code text, cap text, cap_limit bigint, cap_spent bigint, cap_reserved bigint);

-- An agent's rows, while a batch works on them.
create type nomiqon.agent_state as (
    agent_id text, balance bigint, reserved bigint, spent bigint, exposed bigint, seq bigint, seq_before bigint,
    hash bytea, waiting timestamptz, waiting_before timestamptz, has_day boolean, day_spent bigint, day_reserved bigint,
    status text, frozen boolean, version integer, daily_cap bigint, total_cap bigint, max_per_request bigint,
    line text);  -- what all of its lines of now have after their number: agent, day, time

-- One batch of a gateway's work in one transaction: first the endings, which give money back, then the requests, which
-- may need it. A row for each, in order.
--
-- A batch comes as two arrays: an array a column, or JSON, costs as much again as all the rest. `p_agents` are the agents
-- concerned, each once. Endings and requests stand sorted by agent, and within one in the order in which they came. A
-- transaction ends at most once in a batch. `shared` is null for a token that only one of the requests carries, else the
-- place of the first that carries it. What breaks these rules fails the batch as a whole, by the tables' keys.
--
-- All rows of an agent are read once, kept in a variable, and written once.
--
-- Of a request, the first that applies:
--   1 token    expired by the database's clock, replayed; an unknown agent or CAID is spend_token_invalid
--   2 agent    terminated, paused; identity revoked; frozen
--   3 version  the gateway decided under another policy: `stale`, with the current one, and it decides again
--   4 gateway  what policy or price said no to under the current version
--   5 402      what can't be paid however the open reservations end: token's max, maxPerRequest, total, day, wallet
--   6 429      what only open reservations stand in the way of: token, total, day, wallet
-- Otherwise it is reserved. A `once` token is burnt when it is reserved, and by a 402; by nothing else.
--
-- An ending answers `ended`, `already_ended`, `not_found`, or `corrected`: the reservation had expired, and its gateway
-- knows better. Money that is spent beyond what was held is an overrun: it is settled in full.
create function nomiqon.work(p_gateway text, p_agents text[], p_endings nomiqon.end_command[],
                             p_requests nomiqon.reserve_command[])
returns table (ord integer, outcome text, code text, cap text, cap_limit bigint, cap_spent bigint, cap_reserved bigint,
               resets_at timestamptz, day date, amount bigint, policy_version integer, policy_document text)
language plpgsql security definer
set search_path = pg_catalog, nomiqon, pg_temp
-- Pinned plans: one that was made while a table was empty would keep its sequential scan for the life of a connection.
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    v_now timestamptz;
    v_today date;
    v_epoch numeric;
    v_has_lease boolean;
    v_has_days boolean;           -- of today, all of the agents
    q record;                     -- the ending or the request at hand
    n integer;                    -- its place
    s nomiqon.agent_state[];      -- the agents, by place in p_agents,
    k integer := 0;               -- the place of the one that the loop is at,
    a nomiqon.agent_state;        -- and its state

    -- Rows are cast where they are made: plpgsql would convert a record to its type by way of text.
    e nomiqon.end_result[];
    -- By place in p_requests: of those that were reserved. An array has null where nothing was written.
    r_held bigint[]; r_seq bigint[]; r_hash bytea[];
    r_burnt integer[] := '{}';    -- the places of those that were refused and burnt their token
    f integer := 0;
    f_refused nomiqon.refuse_result[];
    -- Changes of other days than today, and of session tokens.
    c integer := 0;
    c_agent text[]; c_day date[]; c_spent bigint[]; c_reserved bigint[];
    x integer := 0;
    x_agent text[]; x_caid text[]; x_exp bigint[]; x_jti text[]; x_spent bigint[]; x_reserved bigint[];
    -- Tokens that several of the requests carry, by the place of the first.
    g_session boolean[]; g_spent bigint[]; g_reserved bigint[];

    v_ending_days date[];
    v_ending_day date;
    v_change bigint; v_held bigint; v_room bigint;
    v_code text; v_cap text;
    v_token_spent bigint; v_token_reserved bigint;
    v_hash bytea; v_rest_hash bytea;
begin
    -- One lock order for everybody: by agent, and the union of both lists at once. Locked in one statement, read in
    -- later ones: rows that are joined in a locking statement come from its older snapshot.
    perform from nomiqon.wallets l where l.agent_id = any (p_agents) order by l.agent_id for update;

    v_now := nomiqon.internal_now();  -- once nobody else can be at these agents' rows
    -- One statement for all that there is to read of them: each costs a batch some 20 µs, an assignment up to 7.
    select (v_now at time zone 'UTC')::date, extract(epoch from v_now),
           exists (select from nomiqon.gateways g where g.gateway_id = p_gateway and g.lease_until > v_now),
           bool_and(d.day is not null),
           array_agg(row(u.agent, w.balance, w.reserved, w.spent, w.exposed, w.chain_seq, w.chain_seq, w.chain_hash,
                         w.waiting_until, w.waiting_until, d.day is not null, coalesce(d.spent, 0),
                         coalesce(d.reserved, 0), h.status, h.frozen, h.policy_version, h.daily_cap, h.total_cap,
                         h.max_per_request,
                         rtrim(', ' || substr(json_build_array(u.agent, (v_now at time zone 'UTC')::date,
                                                               nomiqon.internal_micros(v_now))::text, 2), ']')
                        )::nomiqon.agent_state
                     order by u.place)
    into v_today, v_epoch, v_has_lease, v_has_days, s
    from unnest(p_agents) with ordinality u(agent, place)
    left join nomiqon.wallets w on w.agent_id = u.agent
    left join nomiqon.agents h on h.agent_id = w.agent_id
    left join nomiqon.agent_days d on d.agent_id = w.agent_id and d.day = (v_now at time zone 'UTC')::date;

    -- A gateway whose lease has lapsed may not reserve: others take its open reservations for dead.
    if not v_has_lease and cardinality(p_requests) > 0 then
        raise exception 'the lease of this gateway has lapsed' using errcode = 'NQ001';
    end if;

    -- Endings ----------------------------------------------------------------------------------------------------------
    if cardinality(p_endings) > 0 then
        -- As long as the batch from the start: an array that is empty would begin at the first place that is written.
        e := array_fill(row('not_found', null, null, null, null, null, null)::nomiqon.end_result,
                        array[cardinality(p_endings)]);
        select array_agg(distinct u.day order by u.day) into v_ending_days from unnest(p_endings) u;
        -- One whose reservation's answer was lost doesn't know its day.
        if array_position(v_ending_days, null) is not null then
            select array_agg(row(u.agent, u.transaction, coalesce(u.day, (
                                     select o.day from nomiqon.reservations o
                                     where o.agent_id = p_agents[u.agent] and o.transaction_id = u.transaction
                                     limit 1)), u.ending, u.cost, u.unknown, u.reason, u.model, u.basis)::nomiqon.end_command
                             order by u.n)
            into p_endings
            from unnest(p_endings) with ordinality
                 u(agent, transaction, day, ending, cost, unknown, reason, model, basis, n);
            v_ending_days := array(select distinct u.day from unnest(p_endings) u where u.day is not null order by u.day);
        end if;
        foreach v_ending_day in array v_ending_days loop
            -- A pinned plan that knows all partitions and reads one. Planning anew for the one partition costs more
            -- (0.3 ms) than locking all of them does, up to some 700 (measured); docs/operations.md on their number.
            -- Settled as unknown means in full: the most that it can have cost, which the database knows.
            for q in
                select u.n, u.agent, u.ending, u.unknown, u.reason, u.model, u.basis, u.transaction, o.amount as held, c.cost,
                       o.bound - o.amount as exposed, 'provider:' || o.host as provider, o.caid, o.token_id,
                       o.token_exp, o.token_session, b.amount as booked, b.reason as booked_reason,
                       -- The lines, but for their beginning: the movement that tells the ending, …
                       substr(json_build_array(
                           'held', case when u.ending = 'settled' then 'provider:' || o.host else 'wallet' end,
                           case when u.ending = 'settled' then least(c.cost, o.amount) else o.amount end,
                           u.transaction, null, u.ending, c.cost, u.unknown,
                           u.ending = 'settled' and c.cost > o.amount, u.reason, u.model, u.basis, v_ending_day)::text, 2)
                           as line,
                       -- … and the rest of what was held, or what is due beyond it.
                       case when u.ending = 'settled' and c.cost <> o.amount then substr(json_build_array(
                           case when c.cost < o.amount then 'held' else 'wallet' end,
                           case when c.cost < o.amount then 'wallet' else 'provider:' || o.host end,
                           abs(c.cost - o.amount), u.transaction, null)::text, 2) end as rest_line
                from unnest(p_endings) with ordinality
                     u(agent, transaction, day, ending, cost, unknown, reason, model, basis, n)
                join nomiqon.reservations o
                     on o.agent_id = p_agents[u.agent] and o.transaction_id = u.transaction and o.day = v_ending_day
                cross join lateral (
                    select case when u.ending = 'released' then 0 when u.unknown then greatest(o.bound, u.cost)
                                else u.cost end as cost) c
                left join nomiqon.endings b
                     on b.agent_id = o.agent_id and b.transaction_id = o.transaction_id and b.day = v_ending_day
                where u.day = v_ending_day
                order by u.n
            loop
                n := q.n;
                if q.agent <> k then
                    if k > 0 then
                        s[k] := a;
                    end if;
                    k := q.agent;
                    a := s[k];
                end if;

                if q.booked is null then
                    v_held := q.held;
                    v_change := q.cost;
                    v_rest_hash := null;
                    a.balance := a.balance - v_change;
                    a.exposed := a.exposed - q.exposed;
                    a.seq := a.seq + 1;
                    v_hash := sha256(a.hash || convert_to(concat(
                        case q.ending when 'settled' then '["settle", ' else '["release", ' end, a.seq, a.line, ', ', q.line),
                        'UTF8'));
                    if q.rest_line is not null then
                        v_rest_hash := sha256(v_hash || convert_to(concat(
                            case when v_change < v_held then '["release", ' else '["settle", ' end, a.seq + 1, a.line,
                            ', ', q.rest_line), 'UTF8'));
                    end if;
                    e[n] := row('ended', v_change, v_held, q.provider, a.seq, v_hash, v_rest_hash)::nomiqon.end_result;
                    if v_rest_hash is null then
                        a.hash := v_hash;
                    else
                        a.seq := a.seq + 1;
                        a.hash := v_rest_hash;
                    end if;
                else
                    v_held := 0;
                    v_change := q.cost - q.booked;
                    if v_change = 0 or q.booked_reason is distinct from 'expired'
                       or (q.ending = 'settled' and q.unknown)
                       or exists (select from nomiqon.corrections o where o.agent_id = a.agent_id
                                  and o.transaction_id = q.transaction and o.day = v_ending_day) then
                        e[n] := row('already_ended', null, null, null, null, null, null)::nomiqon.end_result;
                        continue;
                    end if;
                    e[n] := row('corrected', null, null, null, null, null, null)::nomiqon.end_result;
                    a.balance := a.balance - v_change;
                    a.seq := a.seq + 1;
                    a.hash := sha256(a.hash || convert_to(json_build_array(
                        'correct', a.seq, a.agent_id, v_today, nomiqon.internal_micros(v_now),
                        case when v_change < 0 then q.provider else 'wallet' end,
                        case when v_change < 0 then 'wallet' else q.provider end,
                        abs(v_change), q.transaction, null, q.cost, q.reason, q.model, q.basis, v_ending_day)::text, 'UTF8'));
                    insert into nomiqon.corrections (agent_id, day, transaction_id, amount, reason, model, basis,
                                                     corrected_at)
                    values (a.agent_id, v_ending_day, q.transaction, q.cost, q.reason, q.model, q.basis, v_now);
                    insert into nomiqon.transfers (agent_id, seq, day, kind, debit, credit, amount, transaction_id,
                                                   reservation_day, created_at, hash)
                    values (a.agent_id, a.seq, v_today, 'correct',
                            case when v_change < 0 then q.provider else 'wallet' end,
                            case when v_change < 0 then 'wallet' else q.provider end,
                            abs(v_change), q.transaction, v_ending_day, v_now, a.hash);
                end if;

                a.spent := a.spent + v_change;
                a.reserved := a.reserved - v_held;
                if v_ending_day = v_today then
                    a.day_spent := a.day_spent + v_change;
                    a.day_reserved := a.day_reserved - v_held;
                else
                    c := c + 1;
                    c_agent[c] := a.agent_id; c_day[c] := v_ending_day; c_spent[c] := v_change; c_reserved[c] := -v_held;
                end if;
                if q.token_session then
                    x := x + 1;
                    x_agent[x] := a.agent_id; x_caid[x] := q.caid; x_exp[x] := q.token_exp; x_jti[x] := q.token_id;
                    x_spent[x] := v_change; x_reserved[x] := -v_held;
                end if;
                if a.status = 'terminated' and a.reserved = 0 and a.balance > 0 then
                    a.seq := a.seq + 1;
                    a.hash := sha256(a.hash || convert_to(json_build_array(
                        'return', a.seq, a.agent_id, v_today, nomiqon.internal_micros(v_now), 'wallet', 'treasury', a.balance,
                        null, null)::text, 'UTF8'));
                    insert into nomiqon.transfers (agent_id, seq, day, kind, debit, credit, amount, created_at, hash)
                    values (a.agent_id, a.seq, v_today, 'return', 'wallet', 'treasury', a.balance, v_now, a.hash);
                    a.balance := 0;
                end if;
                -- Other gateways hear of it only where one has a request that waits: a notification takes a lock of the
                -- whole cluster until the commit.
                if a.waiting is not null then
                    if a.waiting > v_now then
                        perform pg_notify('nomiqon_money', a.agent_id);
                    end if;
                    a.waiting := null;
                end if;
            end loop;
        end loop;

        insert into nomiqon.endings (agent_id, day, transaction_id, ending, amount, unknown, overrun, reason, model,
                                     basis, ended_at)
        select p_agents[u.agent], u.day, u.transaction, u.ending, u.booked, u.unknown,
               u.ending = 'settled' and u.booked > u.held, u.reason, u.model, u.basis, v_now
        from unnest(p_endings, e) u(agent, transaction, day, ending, cost, unknown, reason, model, basis, outcome, booked,
                                    held, provider, seq, hash, rest_hash)
        where u.seq is not null;
        insert into nomiqon.transfers (agent_id, seq, day, kind, debit, credit, amount, transaction_id, reservation_day,
                                       created_at, hash)
        select p_agents[u.agent], t.seq, v_today, t.kind, t.debit, t.credit, t.amount, u.transaction, u.day, v_now, t.hash
        from unnest(p_endings, e) u(agent, transaction, day, ending, cost, unknown, reason, model, basis, outcome, booked,
                                    held, provider, seq, hash, rest_hash)
        cross join lateral (
            select u.seq, case u.ending when 'settled' then 'settle' else 'release' end, 'held',
                   case u.ending when 'settled' then u.provider else 'wallet' end,
                   case u.ending when 'settled' then least(u.booked, u.held) else u.held end, u.hash
            where u.seq is not null
            union all
            select u.seq + 1, case when u.booked < u.held then 'release' else 'settle' end,
                   case when u.booked < u.held then 'held' else 'wallet' end,
                   case when u.booked < u.held then 'wallet' else u.provider end, abs(u.booked - u.held), u.rest_hash
            where u.rest_hash is not null) t(seq, kind, debit, credit, amount, hash);
        if x > 0 then
            -- Before the requests, which may carry the same tokens. The row of one that has expired may be gone; nobody
            -- can spend from it any more.
            update nomiqon.tokens o set spent = o.spent + u.spent, reserved = o.reserved + u.reserved
            from (select v.agent, v.caid, v.exp, v.jti, sum(v.spent) as spent, sum(v.reserved) as reserved
                  from unnest(x_agent, x_caid, x_exp, x_jti, x_spent, x_reserved) v(agent, caid, exp, jti, spent, reserved)
                  where v.exp > v_epoch
                  group by v.agent, v.caid, v.exp, v.jti) u
            where o.agent_id = u.agent and o.caid = u.caid and o.exp = u.exp and o.jti = u.jti;
            x := 0;
            x_agent := '{}'; x_caid := '{}'; x_exp := '{}'; x_jti := '{}'; x_reserved := '{}';
        end if;
        return query select u.n::integer, u.outcome, null::text, null::text, null::bigint, null::bigint, null::bigint,
                            null::timestamptz, null::date, null::bigint, null::integer, null::text
                     from unnest(e) with ordinality u(outcome, cost, held, provider, seq, hash, rest_hash, n);
    end if;

    -- Requests ---------------------------------------------------------------------------------------------------------
    if cardinality(p_requests) > 0 then
        -- Most requests need no more than money: `plain` are those of which all else can be told at once.
        for q in
            select u.n, u.agent, u.bound, u.session, u.caid, u.exp, u.jti, u.shared, u.version, u.decision, u.typical,
                   u.overrun_limit, u.wait_ms, u.token_max, t.*, d.status as caid_status,
                   t.token_code is null and u.shared is null and u.typical is null and u.decision is null
                   and d.status = 'active' and g.status = 'active' and not g.frozen and g.version = u.version
                   and (u.bound <= g.max_per_request) is not false
                   and (u.bound <= u.token_max - t.token_spent - t.token_reserved) is not false as plain,
                   -- The line, but for its number and what is held.
                   substr(json_build_array(
                       u.transaction, null, u.request, p_gateway, u.caid, u.version, u.bound, u.overrun_limit,
                       g.daily_cap, g.total_cap, u.token_max, u.scheme, u.host, u.port, u.method, u.model, u.ref, u.jti,
                       u.exp, u.session, u.token)::text, 2) as line
            from unnest(p_requests) with ordinality
                     u(agent, shared, wait_ms, transaction, request, caid, version, decision, bound, typical,
                       overrun_limit, token, jti, exp, session, token_max, ref, scheme, host, port, method, model, n)
            left join nomiqon.caids d on d.agent_id = p_agents[u.agent] and d.caid = u.caid
            left join nomiqon.tokens o
                 on o.agent_id = p_agents[u.agent] and o.caid = u.caid and o.exp = u.exp and o.jti = u.jti
            cross join lateral (
                select coalesce(o.spent, 0) as token_spent, coalesce(o.reserved, 0) as token_reserved,
                       case when d.status is null then 'spend_token_invalid'
                            when u.exp <= v_epoch then 'spend_token_expired'
                            -- beyond what any token may live, and what there are partitions for
                            when u.exp > v_epoch + 172800 then 'spend_token_invalid'
                            when o.session is not null and not (o.session and u.session) then 'spend_token_replayed' end
                           as token_code) t
            cross join lateral (
                select s[u.agent].status, s[u.agent].frozen, s[u.agent].version, s[u.agent].max_per_request,
                       s[u.agent].daily_cap, s[u.agent].total_cap) g
            order by u.n
        loop
            if q.agent <> k or v_room is null then
                if k > 0 then
                    s[k] := a;
                end if;
                k := q.agent;
                a := s[k];
                -- What wallet and caps have left, open reservations taken off: a cap that isn't set is null.
                v_room := least(least(a.balance, a.total_cap - a.spent) - a.reserved,
                                a.daily_cap - a.day_spent - a.day_reserved);
            end if;
            if q.plain and q.bound <= v_room then
                v_room := v_room - q.bound;
                a.reserved := a.reserved + q.bound;
                a.day_reserved := a.day_reserved + q.bound;
                a.seq := a.seq + 1;
                a.hash := sha256(a.hash || convert_to(
                    concat('["reserve", ', a.seq, a.line, ', "wallet", "held", ', q.bound, ', ', q.line), 'UTF8'));
                r_held[q.n] := q.bound;
                r_seq[q.n] := a.seq;
                r_hash[q.n] := a.hash;
                if q.session then
                    x := x + 1;
                    x_agent[x] := a.agent_id; x_caid[x] := q.caid; x_exp[x] := q.exp; x_jti[x] := q.jti;
                    x_reserved[x] := q.bound;
                end if;
                continue;
            end if;

            n := q.n;
            v_token_spent := q.token_spent;
            v_token_reserved := q.token_reserved;
            v_code := q.token_code;
            if q.shared < n and g_session[q.shared] is not null and v_code is null then
                -- An earlier request of this batch has used the token.
                if q.session and g_session[q.shared] then
                    v_token_spent := g_spent[q.shared];
                    v_token_reserved := g_reserved[q.shared];
                else
                    v_code := 'spend_token_replayed';
                end if;
            end if;
            if v_code is null
               and (a.status <> 'active' or a.status is null or q.caid_status <> 'active' or a.frozen
                    or a.version <> q.version or q.decision is not null) then
                v_code := case when a.status is null then 'spend_token_invalid'
                               when a.status = 'terminated' then 'agent_terminated'
                               when a.status = 'paused' then 'agent_paused'
                               when q.caid_status = 'revoked' then 'identity_revoked'
                               when a.frozen then 'agent_frozen'
                               when a.version <> q.version then 'stale'
                               else q.decision end;
            end if;
            if v_code is not null then
                f := f + 1;
                f_refused[f] := row(n, false, v_code, null, null, null, null)::nomiqon.refuse_result;
                continue;
            end if;

            -- What is held: the bound, unless history says less and the agent may owe the difference.
            v_held := q.bound;
            if q.typical is not null and a.exposed <= q.overrun_limit then
                v_held := least(v_held, greatest(q.typical, q.bound - (q.overrun_limit - a.exposed)));
            end if;

            if v_held <= v_room and (q.bound <= a.max_per_request) is not false
               and (v_held <= q.token_max - v_token_spent - v_token_reserved) is not false then
                v_room := v_room - v_held;
                a.reserved := a.reserved + v_held;
                a.day_reserved := a.day_reserved + v_held;
                if v_held < q.bound then
                    a.exposed := a.exposed + (q.bound - v_held);
                end if;
                a.seq := a.seq + 1;
                a.hash := sha256(a.hash || convert_to(
                    concat('["reserve", ', a.seq, a.line, ', "wallet", "held", ', v_held, ', ', q.line), 'UTF8'));
                r_held[n] := v_held;
                r_seq[n] := a.seq;
                r_hash[n] := a.hash;
                if q.session then
                    x := x + 1;
                    x_agent[x] := a.agent_id; x_caid[x] := q.caid; x_exp[x] := q.exp; x_jti[x] := q.jti;
                    x_reserved[x] := v_held;
                end if;
                if q.shared is not null then
                    g_session[q.shared] := q.session;
                    g_spent[q.shared] := v_token_spent;
                    g_reserved[q.shared] := v_token_reserved + v_held;
                end if;
                continue;
            end if;

            -- Which of them said no: first what no ending can mend, then what only open reservations stand in the way
            -- of. "spent + held > cap" is turned so that no sum of two large amounts overflows.
            case
                when v_held > q.token_max - v_token_spent then v_code := 'spend_token_exhausted'; v_cap := 'token';
                when q.bound > a.max_per_request then v_code := 'request_limit_exceeded'; v_cap := 'request';
                when v_held > a.total_cap - a.spent then v_code := 'policy_cap_exceeded'; v_cap := 'total';
                when v_held > a.daily_cap - a.day_spent then v_code := 'policy_cap_exceeded'; v_cap := 'daily';
                when v_held > a.balance then v_code := 'insufficient_balance'; v_cap := 'balance';
                when v_held > q.token_max - v_token_spent - v_token_reserved then
                    v_code := 'spend_token_reserved'; v_cap := 'token';
                when v_held > a.total_cap - a.spent - a.reserved then v_code := 'policy_cap_reserved'; v_cap := 'total';
                when v_held > a.daily_cap - a.day_spent - a.day_reserved then
                    v_code := 'policy_cap_reserved'; v_cap := 'daily';
                else v_code := 'balance_reserved'; v_cap := 'balance';
            end case;
            if v_code in ('spend_token_reserved', 'policy_cap_reserved', 'balance_reserved') then
                if q.wait_ms > 0 then
                    a.waiting := greatest(a.waiting, v_now + q.wait_ms * interval '1 millisecond');
                end if;
            elsif not q.session and q.shared is not null then
                g_session[q.shared] := false;
            end if;
            f := f + 1;
            f_refused[f] := case v_cap
                when 'token' then row(n, v_code = 'spend_token_exhausted' and not q.session, v_code, v_cap, q.token_max,
                                      v_token_spent, v_token_reserved)::nomiqon.refuse_result
                when 'request' then row(n, not q.session, v_code, v_cap, a.max_per_request, 0, 0)::nomiqon.refuse_result
                when 'total' then row(n, v_code = 'policy_cap_exceeded' and not q.session, v_code, v_cap, a.total_cap,
                                      a.spent, a.reserved)::nomiqon.refuse_result
                when 'daily' then row(n, v_code = 'policy_cap_exceeded' and not q.session, v_code, v_cap, a.daily_cap,
                                      a.day_spent, a.day_reserved)::nomiqon.refuse_result
                else row(n, v_code = 'insufficient_balance' and not q.session, v_code, v_cap, a.balance, 0, a.reserved)
                         ::nomiqon.refuse_result end;
            if f_refused[f].burnt then
                r_burnt := r_burnt || n;
            end if;
        end loop;

        if r_held is not null or r_burnt <> '{}' then
            with u as materialized (
                select u.*, p_agents[u.agent] as agent_id, s[u.agent].daily_cap, s[u.agent].total_cap, r_held[u.n] as held
                from unnest(p_requests) with ordinality
                         u(agent, shared, wait_ms, transaction, request, caid, version, decision, bound, typical,
                           overrun_limit, token, jti, exp, session, token_max, ref, scheme, host, port, method, model, n)
                where r_held[u.n] is not null or u.n = any (r_burnt)),
            reserved as (
                insert into nomiqon.reservations
                    (agent_id, day, transaction_id, request_id, gateway_id, caid, policy_version, amount, bound,
                     overrun_limit, daily_cap, total_cap, token_max, scheme, host, port, method, model, ref, token_id,
                     token_exp, token_session, token, created_at)
                select u.agent_id, v_today, u.transaction, u.request, p_gateway, u.caid, u.version, u.held, u.bound,
                       u.overrun_limit, u.daily_cap, u.total_cap, u.token_max, u.scheme, u.host, u.port, u.method,
                       u.model, u.ref, u.jti, u.exp, u.session, u.token, v_now
                from u where u.held is not null),
            burnt as (
                insert into nomiqon.tokens (agent_id, caid, exp, jti, session)
                select u.agent_id, u.caid, u.exp, u.jti, false from u where not u.session)
            insert into nomiqon.transfers (agent_id, seq, day, kind, debit, credit, amount, transaction_id,
                                           reservation_day, created_at, hash)
            select u.agent_id, r_seq[u.n], v_today, 'reserve', 'wallet', 'held', u.held, u.transaction, v_today, v_now,
                   r_hash[u.n]
            from u where u.held is not null;
        end if;
        return query
            select n, 'reserved', null::text, null::text, null::bigint, null::bigint, null::bigint, null::timestamptz,
                   v_today, r_held[n], null::integer, null::text
            from generate_subscripts(r_held, 1) n where r_held[n] is not null;
        if f > 0 then
            return query
                select u.n, case when u.code = 'stale' then 'stale' else 'refused' end, u.code, u.cap, u.cap_limit,
                       u.cap_spent, u.cap_reserved,
                       case when u.cap = 'daily' then (v_today + 1)::timestamp at time zone 'UTC' end, null::date,
                       null::bigint, p.version, p.document::text
                from unnest(f_refused) u
                left join nomiqon.policies p
                     on u.code = 'stale' and p.agent_id = p_agents[p_requests[u.n].agent]
                        and p.version = s[p_requests[u.n].agent].version;
        end if;
    end if;

    -- The agents' rows -------------------------------------------------------------------------------------------------
    if k = 0 then
        return;
    end if;
    s[k] := a;
    update nomiqon.wallets w
    set balance = u.balance, reserved = u.reserved, spent = u.spent, exposed = u.exposed, chain_seq = u.seq,
        chain_hash = u.hash, waiting_until = u.waiting
    from unnest(s) u
    where w.agent_id = u.agent_id and (u.seq <> u.seq_before or u.waiting is distinct from u.waiting_before);
    -- Not joined: a plan could begin with all rows of the day.
    update nomiqon.agent_days d
    set spent = s[array_position(p_agents, d.agent_id)].day_spent,
        reserved = s[array_position(p_agents, d.agent_id)].day_reserved
    where d.agent_id = any (array(select u.agent_id from unnest(s) u where u.seq <> u.seq_before)) and d.day = v_today;
    if not v_has_days then
        insert into nomiqon.agent_days (agent_id, day, spent, reserved)
        select u.agent_id, v_today, u.day_spent, u.day_reserved from unnest(s) u
        where u.seq <> u.seq_before and not u.has_day;
    end if;
    if c > 0 then
        update nomiqon.agent_days d
        set spent = d.spent + u.spent, reserved = d.reserved + u.reserved
        from (select v.agent, v.day, sum(v.spent) as spent, sum(v.reserved) as reserved
              from unnest(c_agent, c_day, c_spent, c_reserved) v(agent, day, spent, reserved)
              group by v.agent, v.day) u
        where d.agent_id = u.agent and d.day = u.day;
    end if;
    if x > 0 then
        insert into nomiqon.tokens as o (agent_id, caid, exp, jti, session, reserved)
        select u.agent, u.caid, u.exp, u.jti, true, sum(u.reserved)
        from unnest(x_agent, x_caid, x_exp, x_jti, x_reserved) u(agent, caid, exp, jti, reserved)
        group by u.agent, u.caid, u.exp, u.jti
        on conflict (agent_id, caid, exp, jti) do update set reserved = o.reserved + excluded.reserved;
    end if;
end $$;

-- Which database session this is, and whether one still lives: a reservation whose answer was lost with its
-- connection may still be committed by a session that the server has not ended, so it is looked up only after that.
create function nomiqon.session_identity()
returns text
language sql stable security definer set search_path = pg_catalog, nomiqon, pg_temp
as $$
    select a.pid || '/' || extract(epoch from a.backend_start) from pg_stat_activity a where a.pid = pg_backend_pid()
$$;

create function nomiqon.is_session_alive(p_identity text)
returns boolean
language sql volatile security definer set search_path = pg_catalog, nomiqon, pg_temp
as $$
    select exists (select from pg_stat_activity a where a.pid || '/' || extract(epoch from a.backend_start) = p_identity)
$$;

-- Writes a batch of refusals. Repeating one changes nothing.
create function nomiqon.record_refusals(p_refusals jsonb)
returns void
language sql security definer set search_path = pg_catalog, nomiqon, pg_temp
as $$
    -- A gateway's clock may be wrong by more than there are partitions.
    insert into nomiqon.refusals (agent_id, day, transaction_id, caid, code, amount, policy_version, token_id, ref, host,
                                  method, model, created_at)
    select r.agent, (c.at at time zone 'UTC')::date, r.transaction, r.caid, r.code, r.amount, r.policy_version, r.jti,
           r.ref, r.host, r.method, r.model, c.at
    from jsonb_to_recordset(p_refusals) as r(transaction text, agent text, caid text, code text, amount bigint,
                                             policy_version integer, jti text, ref text, host text, method text,
                                             model text, at timestamptz)
    cross join lateral (
        select least(greatest(r.at, nomiqon.internal_now() - interval '1 day'), nomiqon.internal_now()) as at) c
    on conflict do nothing
$$;

-- The gateways' leases -------------------------------------------------------------------------------------------------

-- Takes or renews a lease. A lapsed one can be renewed (the database was away) until another gateway has taken this
-- one for gone; then false, and it goes on under a new id.
-- `p_oldest`: no transaction that this gateway holds sorts before it.
create function nomiqon.renew_lease(p_gateway text, p_host text, p_version text, p_lease interval,
                                    p_oldest text default '')
returns boolean
language plpgsql security definer set search_path = pg_catalog, nomiqon, pg_temp
as $$
begin
    perform nomiqon.internal_prepare_days((nomiqon.internal_now() at time zone 'UTC')::date);
    insert into nomiqon.gateways as g (gateway_id, host, version, lease_until, oldest_open)
    values (p_gateway, p_host, p_version, nomiqon.internal_now() + p_lease, p_oldest)
    on conflict (gateway_id) do update set lease_until = excluded.lease_until, oldest_open = excluded.oldest_open
    where g.gone_at is null;
    return found;
end $$;

-- A gateway that ends has handed in all its endings.
create function nomiqon.end_lease(p_gateway text)
returns void
language sql security definer set search_path = pg_catalog, nomiqon, pg_temp
as $$
    update nomiqon.gateways set lease_until = least(lease_until, nomiqon.internal_now()), gone_at = nomiqon.internal_now()
    where gateway_id = p_gateway and gone_at is null
$$;

-- Settles what gone gateways left open, in full and marked `unknown`, at most `p_limit` of them: it went out, and
-- nobody knows what became of it. Answers how many. One sweeper at a time; the others have nothing to do.
create function nomiqon.expire_reservations(p_limit integer)
returns integer
language plpgsql security definer
set search_path = pg_catalog, nomiqon, pg_temp
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
    v_gateway record;
    v_agents text[];
    v_endings nomiqon.end_command[];
    v_found integer;
    v_count integer := 0;
begin
    if not pg_try_advisory_xact_lock(420784, 1) then
        return 0;
    end if;
    update nomiqon.gateways set gone_at = nomiqon.internal_now()
    where lease_until <= nomiqon.internal_now() and gone_at is null;
    for v_gateway in
        select g.gateway_id, g.oldest_open, g.gone_at from nomiqon.gateways g
        where g.gone_at is not null and g.swept_at is null order by g.gone_at
    loop
        with open as materialized (
            select x.agent_id, x.transaction_id, x.day from nomiqon.reservations x
            where x.gateway_id = v_gateway.gateway_id and x.transaction_id >= v_gateway.oldest_open
              and not exists (select from nomiqon.endings b where b.agent_id = x.agent_id and b.day = x.day
                              and b.transaction_id = x.transaction_id)
            limit p_limit - v_count),
        agents as (select array_agg(distinct o.agent_id order by o.agent_id) as list from open o)
        select g.list, array_agg(row(array_position(g.list, o.agent_id), o.transaction_id, o.day, 'settled', 0, true,
                                     'expired', null, null)::nomiqon.end_command order by o.agent_id, o.transaction_id),
               count(*)
        into v_agents, v_endings, v_found
        from open o cross join agents g group by g.list;
        v_found := coalesce(v_found, 0);
        if v_found > 0 then
            perform nomiqon.work(v_gateway.gateway_id, v_agents, v_endings, '{}');
        end if;
        v_count := v_count + v_found;
        if v_count >= p_limit then
            return v_count;
        end if;
        -- A transaction that found the lease good may still be under way: no statement lasts a minute.
        update nomiqon.gateways set swept_at = nomiqon.internal_now()
        where gateway_id = v_gateway.gateway_id and gone_at <= nomiqon.internal_now() - interval '1 minute';
    end loop;
    return v_count;
end $$;

-- Forgets token ids an hour after their tokens expired, a day's partition at a time, and idempotency keys after a day.
-- Answers how many partitions and keys.
create function nomiqon.forget_expired()
returns integer
language plpgsql security definer set search_path = pg_catalog, nomiqon, pg_temp
as $$
declare
    v_day date := ((nomiqon.internal_now() - interval '1 hour') at time zone 'UTC')::date;
    v_partition text;
    v_partitions integer := 0;
    v_keys integer;
begin
    for v_partition in
        select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'nomiqon.tokens'::regclass and c.relname < 'tokens_' || to_char(v_day, 'YYYYMMDD')
    loop
        execute format('drop table if exists nomiqon.%I', v_partition);
        v_partitions := v_partitions + 1;
    end loop;
    delete from nomiqon.idempotency_keys k where k.created_at < nomiqon.internal_now() - interval '1 day';
    get diagnostics v_keys = row_count;
    return v_partitions + v_keys;
end $$;

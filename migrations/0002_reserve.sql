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

create function nomiqon.internal_transfer(p_agent text, p_day date, p_kind text, p_debit text, p_credit text,
                                          p_amount bigint, p_transaction text, p_reference text, p_at timestamptz)
returns void language plpgsql set search_path = pg_catalog, nomiqon, pg_temp
as $$
begin
    if p_amount > 0 then
        insert into nomiqon.transfers (agent_id, day, kind, debit, credit, amount, transaction_id, reference, created_at)
        values (p_agent, p_day, p_kind, p_debit, p_credit, p_amount, p_transaction, p_reference, p_at);
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
        perform nomiqon.internal_transfer(p_agent, (p_at at time zone 'UTC')::date, 'return', 'wallet', 'treasury',
                                          v_left, null, null, p_at);
    end if;
end $$;

-- Reserves for each request of a batch, in their order, in one transaction.
--
-- `p_requests` is an array of objects (see ReserveCommand in ledger.h). For each, the first that applies:
--   1 token    expired by the database's clock, replayed; an unknown agent or CAID is spend_token_invalid
--   2 agent    terminated, paused; identity revoked; frozen
--   3 version  the gateway decided under another policy: `stale`, with the current one, and it decides again
--   4 gateway  what policy or price said no to under the current version
--   5 402      what can't be paid however the open reservations end: token's max, maxPerRequest, total, day, wallet
--   6 429      what only open reservations stand in the way of: token, total, day, wallet
-- Otherwise it is reserved. A `once` token is burnt when it is reserved, and by a 402; by nothing else.
-- The caller holds the wallets' locks.
create function nomiqon.internal_reserve(p_gateway text, p_requests jsonb)
returns table (ord integer, outcome text, code text, cap text, cap_limit bigint, cap_spent bigint, cap_reserved bigint,
               resets_at timestamptz, day date, policy_version integer, policy_document text)
language plpgsql set search_path = pg_catalog, nomiqon, pg_temp
as $$
#variable_conflict use_column
declare
    v_now timestamptz;
    v_day date;
    q record;         -- the request
    a record;         -- its agent
    w record;         -- the agent's wallet
    d record;         -- the agent's day
    t record;         -- the token's row, if there is one
    v_caid_status text;
    v_known boolean;
begin
    v_now := clock_timestamp();
    v_day := (v_now at time zone 'UTC')::date;

    for q in
        select e.n::integer as n, r.*
        from jsonb_array_elements(p_requests) with ordinality e(item, n),
             jsonb_to_record(e.item) as r(transaction text, request text, agent text, caid text, policy_version integer,
                                          decision text, amount bigint, token text, jti text, exp bigint,
                                          session boolean, token_max bigint, ref text, scheme text, host text,
                                          port integer, method text, model text)
        order by e.n
    loop
        ord := q.n; outcome := 'refused'; code := null; cap := null; cap_limit := null; cap_spent := null;
        cap_reserved := null; resets_at := null; day := null; policy_version := null; policy_document := null;

        select g.status, g.frozen, g.policy_version, g.daily_cap, g.total_cap, g.max_per_request into a
        from nomiqon.agents g where g.agent_id = q.agent;
        v_known := found;
        select c.status into v_caid_status from nomiqon.caids c where c.agent_id = q.agent and c.caid = q.caid;
        v_known := v_known and found;
        select k.session, k.spent, k.reserved into t from nomiqon.tokens k
        where k.agent_id = q.agent and k.caid = q.caid and k.exp = q.exp and k.jti = q.jti;

        if not v_known then
            code := 'spend_token_invalid';
        elsif q.exp <= extract(epoch from v_now) then
            code := 'spend_token_expired';
        elsif t.session is not null and not (t.session and q.session) then
            code := 'spend_token_replayed';
        elsif a.status = 'terminated' then
            code := 'agent_terminated';
        elsif a.status = 'paused' then
            code := 'agent_paused';
        elsif v_caid_status = 'revoked' then
            code := 'identity_revoked';
        elsif a.frozen then
            code := 'agent_frozen';
        elsif a.policy_version <> q.policy_version then
            outcome := 'stale';
            policy_version := a.policy_version;
            select p.document::text into policy_document from nomiqon.policies p
            where p.agent_id = q.agent and p.version = a.policy_version;
        elsif q.decision is not null then
            code := q.decision;
        end if;
        if code is not null or outcome = 'stale' then
            return next;
            continue;
        end if;

        select l.balance, l.reserved, l.spent into w from nomiqon.wallets l where l.agent_id = q.agent;
        select coalesce(max(x.spent), 0) as spent, coalesce(max(x.reserved), 0) as reserved into d
        from nomiqon.agent_days x where x.agent_id = q.agent and x.day = v_day;

        -- In numeric, so that no sum of two large amounts overflows.
        select m.code, m.cap, m.cap_limit, m.spent, m.reserved, m.resets_at
        into code, cap, cap_limit, cap_spent, cap_reserved, resets_at
        from (values
            (1, 'token', q.token_max, coalesce(t.spent, 0), coalesce(t.reserved, 0), null::timestamptz,
                'spend_token_exhausted', 'spend_token_reserved'),
            (2, 'request', a.max_per_request, 0, 0, null, 'request_limit_exceeded', 'request_limit_exceeded'),
            (3, 'total', a.total_cap, w.spent, w.reserved, null, 'policy_cap_exceeded', 'policy_cap_reserved'),
            (4, 'daily', a.daily_cap, d.spent, d.reserved, (v_day + 1)::timestamp at time zone 'UTC',
                'policy_cap_exceeded', 'policy_cap_reserved'),
            (5, 'balance', w.balance, 0, w.reserved, null, 'insufficient_balance', 'balance_reserved')
        ) as c(place, cap, cap_limit, spent, reserved, resets_at, gone, held)
        cross join lateral (
            select case when c.spent::numeric + q.amount > c.cap_limit then c.gone
                        when c.spent::numeric + c.reserved + q.amount > c.cap_limit then c.held end as code,
                   c.cap, c.cap_limit, c.spent, c.reserved, c.resets_at,
                   c.spent::numeric + q.amount <= c.cap_limit as only_held
        ) m
        where c.cap_limit is not null and m.code is not null
        order by m.only_held, c.place
        limit 1;

        if code is null then
            outcome := 'reserved';
            day := v_day;
            insert into nomiqon.reservations
                (agent_id, day, transaction_id, request_id, gateway_id, caid, policy_version, amount, scheme, host,
                 port, method, model, ref, token_id, token_exp, token_session, token, created_at)
            values (q.agent, v_day, q.transaction, q.request, p_gateway, q.caid, a.policy_version, q.amount, q.scheme,
                    q.host, q.port, q.method, q.model, q.ref, q.jti, q.exp, q.session, q.token, v_now);
            update nomiqon.wallets set reserved = reserved + q.amount where agent_id = q.agent;
            insert into nomiqon.agent_days as x (agent_id, day, reserved) values (q.agent, v_day, q.amount)
            on conflict (agent_id, day) do update set reserved = x.reserved + excluded.reserved;
            perform nomiqon.internal_transfer(q.agent, v_day, 'reserve', 'wallet', 'held', q.amount, q.transaction,
                                              null, v_now);
            insert into nomiqon.tokens as k (agent_id, caid, exp, jti, session, reserved)
            values (q.agent, q.caid, q.exp, q.jti, q.session, q.amount)
            on conflict (agent_id, caid, exp, jti) do update set reserved = k.reserved + excluded.reserved;
        elsif code in ('spend_token_exhausted', 'request_limit_exceeded', 'policy_cap_exceeded',
                       'insufficient_balance') and not q.session then
            insert into nomiqon.tokens (agent_id, caid, exp, jti, session)
            values (q.agent, q.caid, q.exp, q.jti, false)
            on conflict do nothing;
        end if;
        return next;
    end loop;
end $$;

-- Ends one reservation, unless it has ended. The caller holds the wallet's lock. Answers what happened: `ended`,
-- `already_ended`, `not_found`. Money that is spent beyond what was reserved is an overrun: it is settled in full.
create function nomiqon.internal_end(p_agent text, p_day date, p_transaction text, p_ending text, p_amount bigint,
                                     p_unknown boolean, p_reason text, p_model text)
returns text language plpgsql set search_path = pg_catalog, nomiqon, pg_temp
as $$
declare
    r record;
    v_now timestamptz := clock_timestamp();
    v_today date := (v_now at time zone 'UTC')::date;
    v_amount bigint;
begin
    select x.* into r from nomiqon.reservations x
    where x.agent_id = p_agent and x.transaction_id = p_transaction and (p_day is null or x.day = p_day);
    if not found then
        return 'not_found';
    end if;
    -- Settled as unknown means in full, and the database knows what that is.
    v_amount := case when p_ending = 'released' then 0 when p_unknown then greatest(r.amount, coalesce(p_amount, 0))
                     else p_amount end;
    insert into nomiqon.endings (agent_id, day, transaction_id, ending, amount, unknown, overrun, reason, model, ended_at)
    values (p_agent, r.day, p_transaction, p_ending, v_amount, p_unknown, v_amount > r.amount, p_reason, p_model, v_now)
    on conflict do nothing;
    if not found then
        return 'already_ended';
    end if;

    update nomiqon.wallets
    set reserved = reserved - r.amount, balance = balance - v_amount, spent = spent + v_amount
    where agent_id = p_agent;
    update nomiqon.agent_days set reserved = reserved - r.amount, spent = spent + v_amount
    where agent_id = p_agent and day = r.day;
    update nomiqon.tokens set reserved = reserved - r.amount, spent = spent + v_amount
    where agent_id = p_agent and caid = r.caid and exp = r.token_exp and jti = r.token_id;

    perform nomiqon.internal_transfer(p_agent, v_today, 'settle', 'held', 'provider:' || r.host,
                                      least(v_amount, r.amount), p_transaction, null, v_now);
    perform nomiqon.internal_transfer(p_agent, v_today, 'release', 'held', 'wallet', r.amount - v_amount,
                                      p_transaction, null, v_now);
    perform nomiqon.internal_transfer(p_agent, v_today, 'settle', 'wallet', 'provider:' || r.host,
                                      v_amount - r.amount, p_transaction, null, v_now);
    perform nomiqon.internal_return_funds(p_agent, v_now);
    return 'ended';
end $$;

-- One batch of a gateway's work in one transaction: first the endings (EndCommand in ledger.h), which give money back,
-- then the requests (ReserveCommand), which may need it. A row for each, in order.
create function nomiqon.work(p_gateway text, p_endings jsonb, p_requests jsonb)
returns table (ord integer, outcome text, code text, cap text, cap_limit bigint, cap_spent bigint, cap_reserved bigint,
               resets_at timestamptz, day date, policy_version integer, policy_document text)
language plpgsql security definer
set search_path = pg_catalog, nomiqon, pg_temp
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
    q record;
begin
    -- A gateway whose lease has lapsed may not reserve: others take its open reservations for dead.
    if jsonb_array_length(p_requests) > 0 and not exists (
            select from nomiqon.gateways g where g.gateway_id = p_gateway and g.lease_until > clock_timestamp()) then
        raise exception 'the lease of this gateway has lapsed' using errcode = 'NQ001';
    end if;

    -- One lock order for everybody: by agent, and the union of both lists at once. Locked in one statement, read in
    -- later ones: rows that are joined in a locking statement come from its older snapshot.
    perform from nomiqon.wallets l
    where l.agent_id = any (array(select distinct e ->> 'agent' from jsonb_array_elements(p_endings || p_requests) e))
    order by l.agent_id for update;

    for q in
        select e.n::integer as n, r.*
        from jsonb_array_elements(p_endings) with ordinality e(item, n),
             jsonb_to_record(e.item) as r(transaction text, agent text, day date, ending text, amount bigint,
                                          unknown boolean, reason text, model text)
        order by e.n
    loop
        ord := q.n;
        outcome := nomiqon.internal_end(q.agent, q.day, q.transaction, q.ending, q.amount, q.unknown, q.reason, q.model);
        return next;
    end loop;
    if jsonb_array_length(p_requests) > 0 then
        return query select * from nomiqon.internal_reserve(p_gateway, p_requests);
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
    insert into nomiqon.refusals (agent_id, day, transaction_id, caid, code, amount, policy_version, token_id, ref, host,
                                  method, model, created_at)
    select r.agent, (r.at at time zone 'UTC')::date, r.transaction, r.caid, r.code, r.amount, r.policy_version, r.jti,
           r.ref, r.host, r.method, r.model, r.at
    from jsonb_to_recordset(p_refusals) as r(transaction text, agent text, caid text, code text, amount bigint,
                                             policy_version integer, jti text, ref text, host text, method text,
                                             model text, at timestamptz)
    on conflict do nothing
$$;

-- The gateways' leases -------------------------------------------------------------------------------------------------

-- Takes or renews a lease. A lapsed one can be renewed (the database was away) until another gateway has taken this
-- one for gone; then false, and it goes on under a new id.
create function nomiqon.renew_lease(p_gateway text, p_host text, p_version text, p_lease interval)
returns boolean
language plpgsql security definer set search_path = pg_catalog, nomiqon, pg_temp
as $$
begin
    insert into nomiqon.gateways as g (gateway_id, host, version, lease_until)
    values (p_gateway, p_host, p_version, clock_timestamp() + p_lease)
    on conflict (gateway_id) do update set lease_until = excluded.lease_until
    where g.gone_at is null;
    return found;
end $$;

-- A gateway that ends has handed in all its endings.
create function nomiqon.end_lease(p_gateway text)
returns void
language sql security definer set search_path = pg_catalog, nomiqon, pg_temp
as $$
    update nomiqon.gateways set lease_until = least(lease_until, clock_timestamp()), gone_at = clock_timestamp()
    where gateway_id = p_gateway and gone_at is null
$$;

-- Settles what gone gateways left open, in full and marked `unknown`, at most `p_limit` of them: it went out, and
-- nobody knows what became of it. Answers how many. One sweeper at a time; the others have nothing to do.
create function nomiqon.expire_reservations(p_limit integer)
returns integer
language plpgsql security definer
set search_path = pg_catalog, nomiqon, pg_temp
set plan_cache_mode = force_generic_plan set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
    v_gateway text;
    v_count integer := 0;
    r record;
begin
    if not pg_try_advisory_xact_lock(420784, 1) then
        return 0;
    end if;
    update nomiqon.gateways set gone_at = clock_timestamp() where lease_until <= clock_timestamp() and gone_at is null;
    for v_gateway in
        select g.gateway_id from nomiqon.gateways g where g.gone_at is not null and g.swept_at is null order by g.gone_at
    loop
        for r in
            select x.agent_id, x.day, x.transaction_id from nomiqon.reservations x
            where x.gateway_id = v_gateway
              and not exists (select from nomiqon.endings e where e.agent_id = x.agent_id and e.day = x.day
                              and e.transaction_id = x.transaction_id)
            order by x.agent_id limit p_limit - v_count
        loop
            perform from nomiqon.wallets l where l.agent_id = r.agent_id for update;
            perform nomiqon.internal_end(r.agent_id, r.day, r.transaction_id, 'settled', null, true, 'expired', null);
            v_count := v_count + 1;
        end loop;
        if v_count >= p_limit then
            return v_count;
        end if;
        update nomiqon.gateways set swept_at = clock_timestamp() where gateway_id = v_gateway;
    end loop;
    return v_count;
end $$;

-- Forgets token ids an hour after their tokens expired, and idempotency keys after a day. Answers how many.
create function nomiqon.forget_expired()
returns integer
language plpgsql security definer set search_path = pg_catalog, nomiqon, pg_temp
as $$
declare
    v_tokens integer;
    v_keys integer;
begin
    delete from nomiqon.tokens t where t.exp < extract(epoch from clock_timestamp()) - 3600 and t.reserved = 0;
    get diagnostics v_tokens = row_count;
    delete from nomiqon.idempotency_keys k where k.created_at < clock_timestamp() - interval '1 day';
    get diagnostics v_keys = row_count;
    return v_tokens + v_keys;
end $$;

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

-- The chain ------------------------------------------------------------------------------------------------------------

-- Every transfer is a line, a JSON array, and its hash is SHA-256 over the hash before it and the line. docs/audit.md
-- has the lines' members; nomiqon.internal_lines (0005_audit.sql) builds them again from what is stored.
create function nomiqon.internal_micros(p_time timestamptz) returns bigint
language sql immutable parallel safe
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

-- One batch of a gateway's work in one transaction: first the endings (EndCommand in ledger.h), which give money back,
-- then the requests (ReserveCommand), which may need it. A row for each, in order.
--
-- A batch comes as arrays, because a row of JSON costs as much as the whole rest. `p_agents` are the agents concerned,
-- each once; e_agent and r_agent are places in it. Endings and requests stand sorted by agent, and within one in the
-- order in which they came. A transaction ends at most once in a batch. r_group is null for a token that only one of the
-- requests carries, else the place of the first that carries it. What breaks these rules fails the batch as a whole, by
-- the tables' keys.
--
-- All rows of an agent are read once, kept in variables, and written once.
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
create function nomiqon.work(
    p_gateway text, p_agents text[],
    e_agent integer[], e_transaction text[], e_day date[], e_ending text[], e_amount bigint[], e_unknown boolean[],
    e_reason text[], e_model text[],
    r_agent integer[], r_transaction text[], r_request text[], r_caid text[], r_policy_version integer[],
    r_decision text[], r_bound bigint[], r_typical bigint[], r_overrun_limit bigint[], r_wait_ms integer[],
    r_token text[], r_jti text[], r_exp bigint[], r_session boolean[], r_token_max bigint[], r_group integer[],
    r_ref text[], r_scheme text[], r_host text[], r_port integer[], r_method text[], r_model text[])
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
    v_at bigint;                  -- now, in microseconds
    v_epoch numeric;
    q record;                     -- the ending or the request at hand
    n integer;                    -- its place

    -- The agents' rows, by place in p_agents, …
    s_balance bigint[]; s_reserved bigint[]; s_spent bigint[]; s_exposed bigint[];
    s_seq bigint[]; s_seq_before bigint[]; s_hash bytea[]; s_waiting timestamptz[]; s_waiting_before timestamptz[];
    s_day_spent bigint[]; s_day_reserved bigint[];
    s_status text[]; s_frozen boolean[]; s_version integer[]; s_daily bigint[]; s_total bigint[]; s_max bigint[];
    -- … and those of the one that the loop is at.
    k integer := 0;
    v_agent text;
    v_balance bigint; v_reserved bigint; v_spent bigint; v_exposed bigint; v_seq bigint; v_hash bytea;
    v_waiting timestamptz; v_day_spent bigint; v_day_reserved bigint;
    v_status text; v_version integer; v_daily bigint; v_total bigint; v_max bigint;

    -- What became of the endings and requests, by their places; a null stands where nothing is to be said. As long as
    -- the batch from the start: an array that is empty would begin at the first place that is written.
    e_count integer := cardinality(e_transaction);
    r_count integer := cardinality(r_transaction);
    e_numbers bigint[] := array_fill(null::bigint, array[e_count]);
    e_hashes bytea[] := array_fill(null::bytea, array[e_count]);
    r_numbers bigint[] := array_fill(null::bigint, array[r_count]);
    r_texts text[] := array_fill(null::text, array[r_count]);
    e_outcome text[] := array_fill('not_found'::text, array[e_count]);
    e_provider text[] := array_fill(null::text, array[e_count]);
    e_cost bigint[] := e_numbers; e_held bigint[] := e_numbers; e_seq bigint[] := e_numbers;
    e_hash bytea[] := e_hashes; e_rest_hash bytea[] := e_hashes;
    r_held bigint[] := r_numbers; r_seq bigint[] := r_numbers;
    r_hash bytea[] := array_fill(null::bytea, array[r_count]);
    r_burnt boolean[] := array_fill(null::boolean, array[r_count]);
    o_code text[] := r_texts; o_cap text[] := r_texts;
    o_limit bigint[] := r_numbers; o_spent bigint[] := r_numbers; o_reserved bigint[] := r_numbers;
    -- Changes of other days than today, and of session tokens.
    c integer := 0;
    c_agent text[]; c_day date[]; c_spent bigint[]; c_reserved bigint[];
    x integer := 0;
    x_agent text[]; x_caid text[]; x_exp bigint[]; x_jti text[]; x_spent bigint[]; x_reserved bigint[];
    -- Tokens that several of the requests carry, by the place of the first.
    g_known boolean[]; g_spent bigint[]; g_reserved bigint[];

    v_ending_day date;
    v_change bigint; v_held bigint; v_room bigint;
    v_code text;
    v_token_spent bigint; v_token_reserved bigint;
begin
    v_now := nomiqon.internal_now();
    -- A gateway whose lease has lapsed may not reserve: others take its open reservations for dead.
    if r_count > 0 and not exists (
            select from nomiqon.gateways g where g.gateway_id = p_gateway and g.lease_until > v_now) then
        raise exception 'the lease of this gateway has lapsed' using errcode = 'NQ001';
    end if;

    -- One lock order for everybody: by agent, and the union of both lists at once. Locked in one statement, read in
    -- later ones: rows that are joined in a locking statement come from its older snapshot.
    perform from nomiqon.wallets l where l.agent_id = any (p_agents) order by l.agent_id for update;

    v_now := nomiqon.internal_now();  -- once nobody else can be at these agents' rows
    v_today := (v_now at time zone 'UTC')::date;
    v_epoch := extract(epoch from v_now);
    v_at := (v_epoch * 1000000)::bigint;

    select array_agg(u.balance), array_agg(u.reserved), array_agg(u.spent), array_agg(u.exposed), array_agg(u.chain_seq),
           array_agg(u.chain_hash), array_agg(u.waiting_until), array_agg(u.day_spent), array_agg(u.day_reserved),
           array_agg(u.status), array_agg(u.frozen), array_agg(u.policy_version), array_agg(u.daily_cap),
           array_agg(u.total_cap), array_agg(u.max_per_request)
    into s_balance, s_reserved, s_spent, s_exposed, s_seq, s_hash, s_waiting, s_day_spent, s_day_reserved, s_status,
         s_frozen, s_version, s_daily, s_total, s_max
    from (select w.balance, w.reserved, w.spent, w.exposed, w.chain_seq, w.chain_hash, w.waiting_until,
                 coalesce(d.spent, 0) as day_spent, coalesce(d.reserved, 0) as day_reserved, a.status, a.frozen,
                 a.policy_version, a.daily_cap, a.total_cap, a.max_per_request
          from unnest(p_agents) with ordinality p(agent, place)
          left join nomiqon.wallets w on w.agent_id = p.agent
          left join nomiqon.agents a on a.agent_id = w.agent_id
          left join nomiqon.agent_days d on d.agent_id = w.agent_id and d.day = v_today
          order by p.place) u;
    s_seq_before := s_seq;
    s_waiting_before := s_waiting;

    -- Endings ----------------------------------------------------------------------------------------------------------
    if e_count > 0 then
        -- One whose reservation's answer was lost doesn't know its day.
        if array_position(e_day, null) is not null then
            select array_agg(coalesce(u.day, (select r.day from nomiqon.reservations r
                                              where r.agent_id = p_agents[u.agent] and r.transaction_id = u.transaction
                                              limit 1)) order by u.n)
            into e_day
            from unnest(e_agent, e_transaction, e_day) with ordinality u(agent, transaction, day, n);
        end if;
        for v_ending_day in select distinct u.day from unnest(e_day) u(day) where u.day is not null order by u.day loop
            -- A pinned plan that knows all partitions and reads one. Planning anew for the one partition costs more
            -- (0.3 ms) than locking all of them does, up to some 700 (measured); docs/operations.md on their number.
            -- Settled as unknown means in full: the most that it can have cost, which the database knows.
            for q in
                select u.n, u.agent, u.ending, u.unknown, u.reason, u.model, u.transaction, r.amount as held,
                        case when u.ending = 'released' then 0 when u.unknown then greatest(r.bound, u.cost)
                             else u.cost end as cost,
                        r.bound - r.amount as exposed, 'provider:' || r.host as provider, r.caid, r.token_id,
                        r.token_exp, r.token_session, e.amount as booked, e.reason as booked_reason
                 from unnest(e_agent, e_transaction, e_day, e_ending, e_amount, e_unknown, e_reason, e_model) with ordinality
                          u(agent, transaction, day, ending, cost, unknown, reason, model, n)
                 join nomiqon.reservations r
                      on r.agent_id = p_agents[u.agent] and r.transaction_id = u.transaction and r.day = v_ending_day
                 left join nomiqon.endings e
                      on e.agent_id = r.agent_id and e.transaction_id = r.transaction_id and e.day = v_ending_day
                 where u.day = v_ending_day
                 order by u.n
            loop
                n := q.n;
                if q.agent <> k then
                    if k > 0 then
                        s_balance[k] := v_balance; s_reserved[k] := v_reserved; s_spent[k] := v_spent;
                        s_exposed[k] := v_exposed; s_seq[k] := v_seq; s_hash[k] := v_hash; s_waiting[k] := v_waiting;
                        s_day_spent[k] := v_day_spent; s_day_reserved[k] := v_day_reserved;
                    end if;
                    k := q.agent;
                    v_agent := p_agents[k];
                    v_balance := s_balance[k]; v_reserved := s_reserved[k]; v_spent := s_spent[k];
                    v_exposed := s_exposed[k]; v_seq := s_seq[k]; v_hash := s_hash[k]; v_waiting := s_waiting[k];
                    v_day_spent := s_day_spent[k]; v_day_reserved := s_day_reserved[k]; v_status := s_status[k];
                end if;

                if q.booked is null then
                    e_outcome[n] := 'ended';
                    v_held := q.held;
                    v_change := q.cost;
                    v_balance := v_balance - v_change;
                    v_exposed := v_exposed - q.exposed;
                    v_seq := v_seq + 1;
                    e_cost[n] := v_change; e_held[n] := v_held; e_provider[n] := q.provider; e_seq[n] := v_seq;
                    -- The movement that tells the ending, …
                    if q.ending = 'settled' then
                        v_hash := sha256(v_hash || convert_to(json_build_array(
                            'settle', v_seq, v_agent, v_today, v_at, 'held', q.provider, least(v_change, v_held),
                            q.transaction, null, 'settled', v_change, q.unknown, v_change > v_held, q.reason, q.model,
                            v_ending_day)::text, 'UTF8'));
                    else
                        v_hash := sha256(v_hash || convert_to(json_build_array(
                            'release', v_seq, v_agent, v_today, v_at, 'held', 'wallet', v_held, q.transaction, null,
                            'released', v_change, q.unknown, false, q.reason, q.model, v_ending_day)::text, 'UTF8'));
                    end if;
                    e_hash[n] := v_hash;
                    -- … and the rest of what was held, or what is due beyond it.
                    if v_change <> v_held and q.ending = 'settled' then
                        v_seq := v_seq + 1;
                        v_hash := sha256(v_hash || convert_to(json_build_array(
                            case when v_change < v_held then 'release' else 'settle' end, v_seq, v_agent, v_today, v_at,
                            case when v_change < v_held then 'held' else 'wallet' end,
                            case when v_change < v_held then 'wallet' else q.provider end,
                            abs(v_change - v_held), q.transaction, null)::text, 'UTF8'));
                        e_rest_hash[n] := v_hash;
                    end if;
                else
                    v_held := 0;
                    v_change := q.cost - q.booked;
                    if v_change = 0 or q.booked_reason is distinct from 'expired'
                       or (q.ending = 'settled' and q.unknown)
                       or exists (select from nomiqon.corrections o where o.agent_id = v_agent
                                  and o.transaction_id = q.transaction and o.day = v_ending_day) then
                        e_outcome[n] := 'already_ended';
                        continue;
                    end if;
                    e_outcome[n] := 'corrected';
                    v_balance := v_balance - v_change;
                    v_seq := v_seq + 1;
                    v_hash := sha256(v_hash || convert_to(json_build_array(
                        'correct', v_seq, v_agent, v_today, v_at,
                        case when v_change < 0 then q.provider else 'wallet' end,
                        case when v_change < 0 then 'wallet' else q.provider end,
                        abs(v_change), q.transaction, null, q.cost, q.reason, q.model, v_ending_day)::text, 'UTF8'));
                    insert into nomiqon.corrections (agent_id, day, transaction_id, amount, reason, model, corrected_at)
                    values (v_agent, v_ending_day, q.transaction, q.cost, q.reason, q.model, v_now);
                    insert into nomiqon.transfers (agent_id, seq, day, kind, debit, credit, amount, transaction_id,
                                                   reservation_day, created_at, hash)
                    values (v_agent, v_seq, v_today, 'correct',
                            case when v_change < 0 then q.provider else 'wallet' end,
                            case when v_change < 0 then 'wallet' else q.provider end,
                            abs(v_change), q.transaction, v_ending_day, v_now, v_hash);
                end if;

                v_spent := v_spent + v_change;
                v_reserved := v_reserved - v_held;
                if v_ending_day = v_today then
                    v_day_spent := v_day_spent + v_change;
                    v_day_reserved := v_day_reserved - v_held;
                else
                    c := c + 1;
                    c_agent[c] := v_agent; c_day[c] := v_ending_day; c_spent[c] := v_change; c_reserved[c] := -v_held;
                end if;
                if q.token_session then
                    x := x + 1;
                    x_agent[x] := v_agent; x_caid[x] := q.caid; x_exp[x] := q.token_exp; x_jti[x] := q.token_id;
                    x_spent[x] := v_change; x_reserved[x] := -v_held;
                end if;
                if v_status = 'terminated' and v_reserved = 0 and v_balance > 0 then
                    v_seq := v_seq + 1;
                    v_hash := sha256(v_hash || convert_to(json_build_array(
                        'return', v_seq, v_agent, v_today, v_at, 'wallet', 'treasury', v_balance, null, null)::text,
                        'UTF8'));
                    insert into nomiqon.transfers (agent_id, seq, day, kind, debit, credit, amount, created_at, hash)
                    values (v_agent, v_seq, v_today, 'return', 'wallet', 'treasury', v_balance, v_now, v_hash);
                    v_balance := 0;
                end if;
                -- Other gateways hear of it only where one has a request that waits: a notification takes a lock of the
                -- whole cluster until the commit.
                if v_waiting is not null then
                    if v_waiting > v_now then
                        perform pg_notify('nomiqon_money', v_agent);
                    end if;
                    v_waiting := null;
                end if;
            end loop;
        end loop;

        insert into nomiqon.endings (agent_id, day, transaction_id, ending, amount, unknown, overrun, reason, model,
                                     ended_at)
        select p_agents[u.agent], u.day, u.transaction, u.ending, u.cost, u.unknown,
               u.ending = 'settled' and u.cost > u.held, u.reason, u.model, v_now
        from unnest(e_agent, e_day, e_transaction, e_ending, e_cost, e_held, e_unknown, e_reason, e_model)
                 u(agent, day, transaction, ending, cost, held, unknown, reason, model)
        where u.cost is not null;
        insert into nomiqon.transfers (agent_id, seq, day, kind, debit, credit, amount, transaction_id, reservation_day,
                                       created_at, hash)
        select p_agents[u.agent], u.seq, v_today, case u.ending when 'settled' then 'settle' else 'release' end, 'held',
               case u.ending when 'settled' then u.provider else 'wallet' end,
               case u.ending when 'settled' then least(u.cost, u.held) else u.held end, u.transaction, u.day, v_now, u.hash
        from unnest(e_agent, e_seq, e_ending, e_provider, e_cost, e_held, e_transaction, e_day, e_hash)
                 u(agent, seq, ending, provider, cost, held, transaction, day, hash)
        where u.seq is not null
        union all
        select p_agents[u.agent], u.seq + 1, v_today, case when u.cost < u.held then 'release' else 'settle' end,
               case when u.cost < u.held then 'held' else 'wallet' end,
               case when u.cost < u.held then 'wallet' else u.provider end, abs(u.cost - u.held), u.transaction, u.day,
               v_now, u.hash
        from unnest(e_agent, e_seq, e_provider, e_cost, e_held, e_transaction, e_day, e_rest_hash)
                 u(agent, seq, provider, cost, held, transaction, day, hash)
        where u.hash is not null;
        return query select u.n::integer, u.outcome, null::text, null::text, null::bigint, null::bigint, null::bigint,
                            null::timestamptz, null::date, null::bigint, null::integer, null::text
                     from unnest(e_outcome) with ordinality u(outcome, n);
    end if;

    -- Requests ---------------------------------------------------------------------------------------------------------
    if r_count > 0 then
        for q in
            select u.*, coalesce(o.spent, 0) as token_spent, coalesce(o.reserved, 0) as token_reserved,
                   case when s_status[u.agent] is null or d.status is null then 'spend_token_invalid'
                        when u.exp <= v_epoch then 'spend_token_expired'
                        -- beyond what any token may live, and what there are partitions for
                        when u.exp > v_epoch + 172800 then 'spend_token_invalid'
                        when o.session is not null and not (o.session and u.session) then 'spend_token_replayed'
                        when s_status[u.agent] = 'terminated' then 'agent_terminated'
                        when s_status[u.agent] = 'paused' then 'agent_paused'
                        when d.status = 'revoked' then 'identity_revoked'
                        when s_frozen[u.agent] then 'agent_frozen'
                        when s_version[u.agent] <> u.version then 'stale'
                        else u.decision end as code
            from unnest(r_agent, r_transaction, r_request, r_caid, r_policy_version, r_decision, r_bound, r_typical,
                        r_overrun_limit, r_wait_ms, r_token, r_jti, r_exp, r_session, r_token_max, r_group, r_ref,
                        r_scheme, r_host, r_port, r_method, r_model) with ordinality
                     u(agent, transaction, request, caid, version, decision, bound, typical, overrun_limit, wait_ms,
                       token, jti, exp, session, token_max, shared, ref, scheme, host, port, method, model, n)
            left join nomiqon.caids d on d.agent_id = p_agents[u.agent] and d.caid = u.caid
            left join nomiqon.tokens o
                 on o.agent_id = p_agents[u.agent] and o.caid = u.caid and o.exp = u.exp and o.jti = u.jti
            order by u.n
        loop
            n := q.n;
            if q.agent <> k or v_room is null then
                if k > 0 then
                    s_balance[k] := v_balance; s_reserved[k] := v_reserved; s_spent[k] := v_spent;
                    s_exposed[k] := v_exposed; s_seq[k] := v_seq; s_hash[k] := v_hash; s_waiting[k] := v_waiting;
                    s_day_spent[k] := v_day_spent; s_day_reserved[k] := v_day_reserved;
                end if;
                k := q.agent;
                v_agent := p_agents[k];
                v_balance := s_balance[k]; v_reserved := s_reserved[k]; v_spent := s_spent[k];
                v_exposed := s_exposed[k]; v_seq := s_seq[k]; v_hash := s_hash[k]; v_waiting := s_waiting[k];
                v_day_spent := s_day_spent[k]; v_day_reserved := s_day_reserved[k]; v_status := s_status[k];
                v_version := s_version[k]; v_daily := s_daily[k]; v_total := s_total[k]; v_max := s_max[k];
                -- What wallet and caps have left, open reservations taken off: a cap that isn't set is null.
                v_room := least(v_balance, v_total - v_spent) - v_reserved;
                v_room := least(v_room, v_daily - v_day_spent - v_day_reserved);
            end if;

            v_code := q.code;
            v_token_spent := q.token_spent;
            v_token_reserved := q.token_reserved;
            if q.shared < n and g_known[q.shared] then
                -- An earlier request of this batch has used the token.
                if not (r_session[q.shared] and q.session) then
                    if v_code is null or v_code not in ('spend_token_invalid', 'spend_token_expired') then
                        v_code := 'spend_token_replayed';
                    end if;
                else
                    v_token_spent := g_spent[q.shared];
                    v_token_reserved := g_reserved[q.shared];
                end if;
            end if;
            if v_code is not null then
                o_code[n] := v_code;
                continue;
            end if;

            -- What is held: the bound, unless history says less and the agent may owe the difference.
            v_held := q.bound;
            if q.typical is not null and v_exposed <= q.overrun_limit then
                v_held := least(v_held, greatest(q.typical, q.bound - (q.overrun_limit - v_exposed)));
            end if;

            if v_held <= v_room and (q.bound <= v_max) is not false
               and (v_held <= q.token_max - v_token_spent - v_token_reserved) is not false then
                v_reserved := v_reserved + v_held;
                v_day_reserved := v_day_reserved + v_held;
                v_room := v_room - v_held;
                v_exposed := v_exposed + (q.bound - v_held);
                v_seq := v_seq + 1;
                v_hash := sha256(v_hash || convert_to(json_build_array(
                    'reserve', v_seq, v_agent, v_today, v_at, 'wallet', 'held', v_held, q.transaction, null, q.request,
                    p_gateway, q.caid, v_version, q.bound, q.overrun_limit, v_daily, v_total, q.token_max, q.scheme,
                    q.host, q.port, q.method, q.model, q.ref, q.jti, q.exp, q.session, q.token)::text, 'UTF8'));
                r_held[n] := v_held; r_seq[n] := v_seq; r_hash[n] := v_hash;
                if q.session then
                    x := x + 1;
                    x_agent[x] := v_agent; x_caid[x] := q.caid; x_exp[x] := q.exp; x_jti[x] := q.jti; x_spent[x] := 0;
                    x_reserved[x] := v_held;
                else
                    r_burnt[n] := true;
                end if;
                if q.shared is not null then
                    g_known[q.shared] := true;
                    g_spent[q.shared] := v_token_spent;
                    g_reserved[q.shared] := v_token_reserved + v_held;
                end if;
                continue;
            end if;

            -- Which of them said no: first what no ending can mend, then what only open reservations stand in the way
            -- of. "spent + held > cap" is turned so that no sum of two large amounts overflows.
            case
                when v_held > q.token_max - v_token_spent then o_code[n] := 'spend_token_exhausted'; o_cap[n] := 'token';
                when q.bound > v_max then o_code[n] := 'request_limit_exceeded'; o_cap[n] := 'request';
                when v_held > v_total - v_spent then o_code[n] := 'policy_cap_exceeded'; o_cap[n] := 'total';
                when v_held > v_daily - v_day_spent then o_code[n] := 'policy_cap_exceeded'; o_cap[n] := 'daily';
                when v_held > v_balance then o_code[n] := 'insufficient_balance'; o_cap[n] := 'balance';
                when v_held > q.token_max - v_token_spent - v_token_reserved then
                    o_code[n] := 'spend_token_reserved'; o_cap[n] := 'token';
                when v_held > v_total - v_spent - v_reserved then
                    o_code[n] := 'policy_cap_reserved'; o_cap[n] := 'total';
                when v_held > v_daily - v_day_spent - v_day_reserved then
                    o_code[n] := 'policy_cap_reserved'; o_cap[n] := 'daily';
                else o_code[n] := 'balance_reserved'; o_cap[n] := 'balance';
            end case;
            case o_cap[n]
                when 'token' then
                    o_limit[n] := q.token_max; o_spent[n] := v_token_spent; o_reserved[n] := v_token_reserved;
                when 'request' then o_limit[n] := v_max; o_spent[n] := 0; o_reserved[n] := 0;
                when 'total' then o_limit[n] := v_total; o_spent[n] := v_spent; o_reserved[n] := v_reserved;
                when 'daily' then o_limit[n] := v_daily; o_spent[n] := v_day_spent; o_reserved[n] := v_day_reserved;
                else o_limit[n] := v_balance; o_spent[n] := 0; o_reserved[n] := v_reserved;
            end case;
            if o_code[n] in ('spend_token_reserved', 'policy_cap_reserved', 'balance_reserved') then
                if q.wait_ms > 0 then
                    v_waiting := greatest(v_waiting, v_now + q.wait_ms * interval '1 millisecond');
                end if;
            elsif not q.session then
                r_burnt[n] := true;
                if q.shared is not null then
                    g_known[q.shared] := true;
                end if;
            end if;
        end loop;

        insert into nomiqon.reservations
            (agent_id, day, transaction_id, request_id, gateway_id, caid, policy_version, amount, bound, overrun_limit,
             daily_cap, total_cap, token_max, scheme, host, port, method, model, ref, token_id, token_exp, token_session,
             token, created_at)
        select p_agents[u.agent], v_today, u.transaction, u.request, p_gateway, u.caid, u.version, u.held, u.bound,
               u.overrun_limit, s_daily[u.agent], s_total[u.agent], u.token_max, u.scheme, u.host, u.port, u.method,
               u.model, u.ref, u.jti, u.exp, u.session, u.token, v_now
        from unnest(r_agent, r_transaction, r_request, r_caid, r_policy_version, r_held, r_bound, r_overrun_limit,
                    r_token_max, r_scheme, r_host, r_port, r_method, r_model, r_ref, r_jti, r_exp, r_session, r_token)
                 u(agent, transaction, request, caid, version, held, bound, overrun_limit, token_max, scheme, host, port,
                   method, model, ref, jti, exp, session, token)
        where u.held is not null;
        insert into nomiqon.transfers (agent_id, seq, day, kind, debit, credit, amount, transaction_id, reservation_day,
                                       created_at, hash)
        select p_agents[u.agent], u.seq, v_today, 'reserve', 'wallet', 'held', u.held, u.transaction, v_today, v_now, u.hash
        from unnest(r_agent, r_seq, r_held, r_transaction, r_hash) u(agent, seq, held, transaction, hash)
        where u.held is not null;
        insert into nomiqon.tokens (agent_id, caid, exp, jti, session)
        select p_agents[u.agent], u.caid, u.exp, u.jti, false
        from unnest(r_agent, r_caid, r_exp, r_jti, r_burnt) u(agent, caid, exp, jti, burnt)
        where u.burnt;
        return query
            select u.n::integer,
                   case when u.held is not null then 'reserved' when u.code = 'stale' then 'stale' else 'refused' end,
                   u.code, u.cap, u.cap_limit, u.cap_spent, u.cap_reserved,
                   case when u.cap = 'daily' then (v_today + 1)::timestamp at time zone 'UTC' end,
                   case when u.held is not null then v_today end, u.held, p.version, p.document::text
            from unnest(r_agent, r_held, o_code, o_cap, o_limit, o_spent, o_reserved) with ordinality
                     u(agent, held, code, cap, cap_limit, cap_spent, cap_reserved, n)
            left join nomiqon.policies p
                 on u.code = 'stale' and p.agent_id = p_agents[u.agent] and p.version = s_version[u.agent]
            order by u.n;
    end if;

    -- The agents' rows -------------------------------------------------------------------------------------------------
    if k = 0 then
        return;
    end if;
    s_balance[k] := v_balance; s_reserved[k] := v_reserved; s_spent[k] := v_spent; s_exposed[k] := v_exposed;
    s_seq[k] := v_seq; s_hash[k] := v_hash; s_waiting[k] := v_waiting; s_day_spent[k] := v_day_spent;
    s_day_reserved[k] := v_day_reserved;

    update nomiqon.wallets w
    set balance = u.balance, reserved = u.reserved, spent = u.spent, exposed = u.exposed, chain_seq = u.seq,
        chain_hash = u.hash, waiting_until = u.waiting
    from unnest(p_agents, s_balance, s_reserved, s_spent, s_exposed, s_seq, s_seq_before, s_hash, s_waiting,
                s_waiting_before)
             u(agent, balance, reserved, spent, exposed, seq, seq_before, hash, waiting, waiting_before)
    where w.agent_id = u.agent and (u.seq <> u.seq_before or u.waiting is distinct from u.waiting_before);
    insert into nomiqon.agent_days as d (agent_id, day, spent, reserved)
    select u.agent, v_today, u.spent, u.reserved
    from unnest(p_agents, s_day_spent, s_day_reserved, s_seq, s_seq_before) u(agent, spent, reserved, seq, seq_before)
    where u.seq <> u.seq_before
    on conflict (agent_id, day) do update set spent = excluded.spent, reserved = excluded.reserved;
    if c > 0 then
        update nomiqon.agent_days d
        set spent = d.spent + u.spent, reserved = d.reserved + u.reserved
        from (select v.agent, v.day, sum(v.spent) as spent, sum(v.reserved) as reserved
              from unnest(c_agent, c_day, c_spent, c_reserved) v(agent, day, spent, reserved)
              group by v.agent, v.day) u
        where d.agent_id = u.agent and d.day = u.day;
    end if;
    if x > 0 then
        -- The row of a token that has expired may be gone; nobody can spend from it any more.
        insert into nomiqon.tokens as o (agent_id, caid, exp, jti, session, spent, reserved)
        select u.agent, u.caid, u.exp, u.jti, true, sum(u.spent), sum(u.reserved)
        from unnest(x_agent, x_caid, x_exp, x_jti, x_spent, x_reserved) u(agent, caid, exp, jti, spent, reserved)
        where u.exp > v_epoch
        group by u.agent, u.caid, u.exp, u.jti
        on conflict (agent_id, caid, exp, jti)
            do update set spent = o.spent + excluded.spent, reserved = o.reserved + excluded.reserved;
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
create function nomiqon.renew_lease(p_gateway text, p_host text, p_version text, p_lease interval)
returns boolean
language plpgsql security definer set search_path = pg_catalog, nomiqon, pg_temp
as $$
begin
    perform nomiqon.internal_prepare_days((nomiqon.internal_now() at time zone 'UTC')::date);
    insert into nomiqon.gateways as g (gateway_id, host, version, lease_until)
    values (p_gateway, p_host, p_version, nomiqon.internal_now() + p_lease)
    on conflict (gateway_id) do update set lease_until = excluded.lease_until
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
set plan_cache_mode = force_generic_plan set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
    v_gateway text;
    v_agents text[];
    v_owners text[];
    v_transactions text[];
    v_days date[];
    v_found integer;
    v_count integer := 0;
begin
    if not pg_try_advisory_xact_lock(420784, 1) then
        return 0;
    end if;
    update nomiqon.gateways set gone_at = nomiqon.internal_now()
    where lease_until <= nomiqon.internal_now() and gone_at is null;
    for v_gateway in
        select g.gateway_id from nomiqon.gateways g where g.gone_at is not null and g.swept_at is null order by g.gone_at
    loop
        select array_agg(o.agent_id), array_agg(o.transaction_id), array_agg(o.day), count(*)
        into v_owners, v_transactions, v_days, v_found
        from (select u.agent_id, u.transaction_id, u.day
              from (select x.agent_id, x.transaction_id, x.day from nomiqon.reservations x
                    where x.gateway_id = v_gateway
                      and not exists (select from nomiqon.endings e where e.agent_id = x.agent_id and e.day = x.day
                                      and e.transaction_id = x.transaction_id)
                    limit p_limit - v_count) u
              order by u.agent_id, u.transaction_id) o;
        if v_found > 0 then
            v_agents := array(select distinct u.agent from unnest(v_owners) u(agent) order by u.agent);
            perform nomiqon.work(
                v_gateway, v_agents,
                array(select array_position(v_agents, u.agent) from unnest(v_owners) with ordinality u(agent, n)
                      order by u.n),
                v_transactions, v_days, array_fill('settled'::text, array[v_found]),
                array_fill(0::bigint, array[v_found]), array_fill(true, array[v_found]),
                array_fill('expired'::text, array[v_found]), array_fill(null::text, array[v_found]),
                '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}',
                '{}', '{}', '{}', '{}');
        end if;
        v_count := v_count + v_found;
        if v_count >= p_limit then
            return v_count;
        end if;
        update nomiqon.gateways set swept_at = nomiqon.internal_now() where gateway_id = v_gateway;
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

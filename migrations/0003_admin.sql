-- The functions behind the admin API: agents, policies, identities, funding, API keys. What reads the money's history
-- is in 0004_finance.sql.
--
-- Each `admin_*` takes one jsonb and answers one jsonb, in one transaction. HTTP, JSON shapes, policies and keys were
-- checked by the gateway; here is what only the database can decide: uniqueness, versions, order. What changes what an
-- agent may do, or its money, locks the agent's row of nomiqon.wallets first, as every reservation does, so that a
-- freeze that was answered precedes every later reservation.
--
-- Errors for the caller: SQLSTATE NQ404 not_found, NQ409 conflict, NQ412 precondition_failed, NQ422 validation_error;
-- the message is a sentence, DETAIL the JSON pointer of what it is about. call_admin, which the gateway calls them by, makes
-- values of these, so that a caller's mistakes don't fill the server's log.

-- How the API writes things ------------------------------------------------------------------------------------------

create function nomiqon.internal_time(p_time timestamptz) returns text
language sql stable set search_path = pg_catalog, nomiqon, pg_temp
as $$ select to_char(p_time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') $$;

create function nomiqon.internal_today() returns date
language sql volatile set search_path = pg_catalog, nomiqon, pg_temp
as $$ select (nomiqon.internal_now() at time zone 'UTC')::date $$;

-- 6 to 9 decimals.
create function nomiqon.internal_usdc(p_nanos numeric) returns text
language sql immutable set search_path = pg_catalog, nomiqon, pg_temp
as $$ select regexp_replace((p_nanos / 1000000000)::numeric(40, 9)::text, '0{1,3}$', '') $$;

-- Of a policy's amount, whose form the gateway has checked.
create function nomiqon.internal_nanos(p_amount text) returns bigint
language sql immutable set search_path = pg_catalog, nomiqon, pg_temp
as $$ select (p_amount::numeric * 1000000000)::bigint $$;

create function nomiqon.internal_fail(p_code text, p_message text, p_param text default '') returns void
language plpgsql set search_path = pg_catalog, nomiqon, pg_temp
as $$
begin
    raise exception using errcode = p_code, message = p_message, detail = p_param;
end $$;

-- Calls nomiqon.admin_<function>: {"answer": …}, or {"refusal": {sqlstate, message, detail}} with all that it did undone.
-- Whatever else goes wrong is raised, and logged, as ever. Not SECURITY DEFINER: the caller needs its own right to call it.
create function nomiqon.call_admin(p_function text, p_args jsonb) returns jsonb
language plpgsql set search_path = pg_catalog, nomiqon, pg_temp
as $$
declare
    v_answer jsonb;
    v_state text;
    v_message text;
    v_detail text;
begin
    execute format('select nomiqon.%I($1)', 'admin_' || p_function) into v_answer using p_args;
    return jsonb_build_object('answer', v_answer);
exception
    when sqlstate 'NQ403' or sqlstate 'NQ404' or sqlstate 'NQ409' or sqlstate 'NQ412' or sqlstate 'NQ422' then
        get stacked diagnostics v_state = returned_sqlstate, v_message = message_text, v_detail = pg_exception_detail;
        return jsonb_build_object('refusal', jsonb_build_object('sqlstate', v_state, 'message', v_message,
                                                                'detail', v_detail));
end $$;

-- A policy with all the members of its shape.
create function nomiqon.internal_policy_members(p_document jsonb) returns jsonb
language sql immutable set search_path = pg_catalog, nomiqon, pg_temp
as $$
    select jsonb_build_object('dailyCap', null, 'totalCap', null, 'windowCap', null, 'allowlist', null,
                              'blocklist', '[]'::jsonb, 'activeFrom', null, 'activeUntil', null, 'activeHours', null,
                              'frozen', false, 'maxPerRequest', null, 'rateLimit', null, 'requireBinding', false)
           || p_document
$$;

create function nomiqon.internal_policy_version(p nomiqon.policies) returns jsonb
language sql stable set search_path = pg_catalog, nomiqon, pg_temp
as $$
    select nomiqon.internal_policy_members(p.document)
           || jsonb_build_object('id', p.policy_id, 'version', p.version, 'createdAt', nomiqon.internal_time(p.created_at),
                                 'createdBy', p.created_by, 'reason', p.reason)
$$;

-- What is left of a cap; below zero after an overrun or a lowered cap, null without a cap.
create function nomiqon.internal_left(p_cap bigint, p_spent bigint, p_reserved bigint) returns text
language sql immutable set search_path = pg_catalog, nomiqon, pg_temp
as $$ select nomiqon.internal_usdc(p_cap::numeric - p_spent - p_reserved) $$;

create function nomiqon.internal_agent(p_agent text) returns jsonb
language sql stable set search_path = pg_catalog, nomiqon, pg_temp
as $$
    select jsonb_build_object(
        'id', a.agent_id, 'name', a.name, 'status', a.status, 'metadata', a.metadata,
        'createdAt', nomiqon.internal_time(a.created_at),
        'caids', (select coalesce(jsonb_agg(jsonb_build_object('caid', c.caid, 'publicKey', substr(c.caid, 6),
                                                               'status', c.status,
                                                               'createdAt', nomiqon.internal_time(c.created_at))
                                            order by c.created_at, c.caid), '[]')
                  from nomiqon.caids c where c.agent_id = a.agent_id),
        'wallet', jsonb_build_object(
            'address', a.wallet_address, 'owner', a.wallet_owner, 'mint', a.wallet_mint,
            'balance', nomiqon.internal_usdc(w.balance), 'reserved', nomiqon.internal_usdc(w.reserved),
            'available', nomiqon.internal_usdc(w.balance::numeric - w.reserved),
            'status', case when a.frozen then 'frozen' when not w.funded then 'provisioned'
                           when w.balance <= w.reserved then 'depleted'
                           when (w.balance::numeric - w.reserved) * 10 < a.daily_cap then 'low_balance'
                           else 'funded' end),
        'policy', nomiqon.internal_policy_version(p) || jsonb_build_object('_computed', jsonb_build_object(
            'spentToday', nomiqon.internal_usdc(d.spent), 'spentTotal', nomiqon.internal_usdc(w.spent),
            'spentInWindow', null, 'reserved', nomiqon.internal_usdc(w.reserved),
            'remainingToday', nomiqon.internal_left(a.daily_cap, d.spent, d.reserved),
            'remainingTotal', nomiqon.internal_left(a.total_cap, w.spent, w.reserved), 'remainingInWindow', null)))
    from nomiqon.agents a
    join nomiqon.wallets w on w.agent_id = a.agent_id
    join nomiqon.policies p on p.agent_id = a.agent_id and p.version = a.policy_version
    cross join lateral (
        select coalesce(max(x.spent), 0) as spent, coalesce(max(x.reserved), 0) as reserved from nomiqon.agent_days x
        where x.agent_id = a.agent_id and x.day = nomiqon.internal_today()) d
    where a.agent_id = p_agent
$$;

-- Idempotency keys -----------------------------------------------------------------------------------------------------
--
-- A writing function begins with internal_begin and ends with internal_done, in the transaction of the write: what was
-- written was answered, once. A concurrent request with the same key waits for the first one's end. A write that failed
-- left nothing, its key included, and may be tried again.

create function nomiqon.internal_stored_answer(p_idempotency jsonb) returns jsonb
language plpgsql set search_path = pg_catalog, nomiqon, pg_temp
as $$
declare
    v_stored nomiqon.idempotency_keys;
begin
    select k.* into v_stored from nomiqon.idempotency_keys k
    where k.api_key_id = p_idempotency ->> 'api_key' and k.idempotency_key = p_idempotency ->> 'key';
    if not found then
        return null;
    end if;
    if v_stored.fingerprint <> p_idempotency ->> 'fingerprint' then
        perform nomiqon.internal_fail('NQ409', 'this idempotency key was used for another request', 'Idempotency-Key');
    end if;
    return v_stored.response || '{"replayed": true}';
end $$;

-- The answer that was given to this request before; null when it is new.
create function nomiqon.admin_find_answer(p_args jsonb) returns jsonb
language sql security definer set search_path = pg_catalog, nomiqon, pg_temp
as $$ select coalesce(nomiqon.internal_stored_answer(p_args), 'null') $$;

create function nomiqon.internal_begin(p_args jsonb) returns jsonb
language plpgsql set search_path = pg_catalog, nomiqon, pg_temp
as $$
begin
    if p_args -> 'idempotency' is null then
        return null;
    end if;
    insert into nomiqon.idempotency_keys (api_key_id, idempotency_key, fingerprint, response)
    values (p_args #>> '{idempotency,api_key}', p_args #>> '{idempotency,key}', p_args #>> '{idempotency,fingerprint}',
            'null')
    on conflict do nothing;
    return case when found then null else nomiqon.internal_stored_answer(p_args -> 'idempotency') end;
end $$;

create function nomiqon.internal_done(p_args jsonb, p_data jsonb) returns jsonb
language plpgsql set search_path = pg_catalog, nomiqon, pg_temp
as $$
declare
    v_answer jsonb := jsonb_build_object('status', p_args -> 'status', 'data', p_data);
begin
    if p_args -> 'idempotency' is not null then
        update nomiqon.idempotency_keys set response = v_answer
        where api_key_id = p_args #>> '{idempotency,api_key}' and idempotency_key = p_args #>> '{idempotency,key}';
    end if;
    return v_answer;
end $$;

-- Agents ---------------------------------------------------------------------------------------------------------------

-- Locks the agent for a change. Locked in one statement, read in the next.
create function nomiqon.internal_lock_agent(p_agent text, p_must_live boolean) returns nomiqon.agents
language plpgsql set search_path = pg_catalog, nomiqon, pg_temp
as $$
declare
    v_agent nomiqon.agents;
begin
    perform from nomiqon.wallets w where w.agent_id = p_agent for update;
    select a.* into v_agent from nomiqon.agents a where a.agent_id = p_agent;
    if not found then
        perform nomiqon.internal_fail('NQ404', 'there is no such agent');
    end if;
    if p_must_live and v_agent.status = 'terminated' then
        perform nomiqon.internal_fail('NQ409', 'the agent is terminated, which is for good');
    end if;
    return v_agent;
end $$;

create function nomiqon.internal_claim_name(p_agent text, p_name text) returns void
language plpgsql set search_path = pg_catalog, nomiqon, pg_temp
as $$
begin
    insert into nomiqon.agent_names (name, agent_id) values (p_name, p_agent) on conflict do nothing;
    if not found then
        perform nomiqon.internal_fail('NQ409', 'another agent has this name', '/name');
    end if;
end $$;

create function nomiqon.internal_claim_caid(p_agent text, p_caid text, p_param text) returns void
language plpgsql set search_path = pg_catalog, nomiqon, pg_temp
as $$
begin
    insert into nomiqon.caid_owners (caid, agent_id) values (p_caid, p_agent) on conflict do nothing;
    if not found then
        perform nomiqon.internal_fail('NQ409', 'this key was registered before; a key belongs to one agent for good',
                                      p_param);
    end if;
    insert into nomiqon.caids (agent_id, caid) values (p_agent, p_caid);
end $$;

create function nomiqon.admin_create_agent(p_args jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, nomiqon, pg_temp
as $$
declare
    v_agent text := p_args ->> 'agent';
    v_document jsonb := p_args -> 'document';
    v_answer jsonb := nomiqon.internal_begin(p_args);
begin
    if v_answer is not null then
        return v_answer;
    end if;
    perform nomiqon.internal_claim_name(v_agent, p_args ->> 'name');
    perform nomiqon.internal_claim_caid(v_agent, p_args ->> 'caid', '/caid/publicKey');
    insert into nomiqon.policies (agent_id, version, policy_id, document, created_by, reason)
    values (v_agent, 1, p_args ->> 'policy_id', v_document, p_args ->> 'by', p_args ->> 'reason');
    insert into nomiqon.wallets (agent_id) values (v_agent);
    insert into nomiqon.agents (agent_id, name, metadata, wallet_owner, wallet_address, wallet_mint, policy_version,
                                frozen, daily_cap, total_cap, max_per_request)
    values (v_agent, p_args ->> 'name', p_args -> 'metadata', p_args ->> 'owner', p_args ->> 'address',
            p_args ->> 'mint', 1, coalesce((v_document ->> 'frozen')::boolean, false),
            nomiqon.internal_nanos(v_document ->> 'dailyCap'), nomiqon.internal_nanos(v_document ->> 'totalCap'),
            nomiqon.internal_nanos(v_document ->> 'maxPerRequest'));
    return nomiqon.internal_done(p_args, nomiqon.internal_agent(v_agent));
end $$;

create function nomiqon.admin_get_agent(p_args jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, nomiqon, pg_temp
as $$
declare
    v_answer jsonb := nomiqon.internal_agent(p_args ->> 'agent');
begin
    if v_answer is null then
        perform nomiqon.internal_fail('NQ404', 'there is no such agent');
    end if;
    return v_answer;
end $$;

-- Newest first. One row more than `limit` says that there are more.
create function nomiqon.admin_list_agents(p_args jsonb) returns jsonb
language sql security definer set search_path = pg_catalog, nomiqon, pg_temp
as $$
    with matching as not materialized (
        select a.agent_id from nomiqon.agents a
        where (p_args ->> 'status' is null or a.status = p_args ->> 'status')
          and a.metadata @> (p_args -> 'metadata'))
    select jsonb_build_object(
        'total', (select count(*) from matching),
        'items', (select coalesce(jsonb_agg(nomiqon.internal_agent(m.agent_id) order by m.agent_id desc), '[]')
                  from (select agent_id from matching
                        where p_args ->> 'after' is null or agent_id < p_args ->> 'after'
                        order by agent_id desc limit (p_args ->> 'limit')::integer + 1) m))
$$;

-- What a partial policy is merged into.
create function nomiqon.admin_get_policy(p_args jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, nomiqon, pg_temp
as $$
declare
    v_answer jsonb;
begin
    select jsonb_build_object('version', p.version, 'document', p.document) into v_answer
    from nomiqon.agents a join nomiqon.policies p on p.agent_id = a.agent_id and p.version = a.policy_version
    where a.agent_id = p_args ->> 'agent';
    if not found then
        perform nomiqon.internal_fail('NQ404', 'there is no such agent');
    end if;
    return v_answer;
end $$;

-- The policy that an update asks for, with the wallet locked. `partial` is merged into what is current now, not into what
-- the caller saw, so that two changes of different members never refuse each other and a freeze can't lose a race;
-- `seen` holds the members of it that the gateway judged the change by, and another value of theirs is NQ412.
-- `document` replaces all, except that it never undoes a freeze: only a `frozen` that was asked for does.
create function nomiqon.internal_next_policy(p_agent nomiqon.agents, p_args jsonb) returns jsonb
language plpgsql set search_path = pg_catalog, nomiqon, pg_temp
as $$
declare
    v_current jsonb;
begin
    if p_args -> 'document' is not null then
        return (p_args -> 'document') || case when p_agent.frozen then '{"frozen": true}'::jsonb else '{}' end;
    end if;
    select p.document into v_current from nomiqon.policies p
    where p.agent_id = p_agent.agent_id and p.version = p_agent.policy_version;
    if exists (select from jsonb_each(p_args -> 'seen') s
               where s.value is distinct from coalesce(v_current -> s.key, 'null')) then
        perform nomiqon.internal_fail('NQ412', 'the policy was changed at the same time');
    end if;
    return jsonb_strip_nulls(v_current || coalesce(p_args -> 'partial', '{}'));
end $$;

-- `version` is the one that the caller saw; another one since then is NQ412, and nothing was changed. A policy that says
-- the same as the current one makes no version.
create function nomiqon.admin_update_agent(p_args jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, nomiqon, pg_temp
as $$
declare
    v_agent nomiqon.agents;
    v_document jsonb;
    v_metadata jsonb;
    v_answer jsonb := nomiqon.internal_begin(p_args);
begin
    if v_answer is not null then
        return v_answer;
    end if;
    v_agent := nomiqon.internal_lock_agent(p_args ->> 'agent', true);
    if (p_args ->> 'version')::integer <> v_agent.policy_version then
        perform nomiqon.internal_fail('NQ412', format('the policy is at version %s now', v_agent.policy_version),
                                      'If-Match');
    end if;

    if p_args ->> 'name' <> v_agent.name then
        perform nomiqon.internal_claim_name(v_agent.agent_id, p_args ->> 'name');
        delete from nomiqon.agent_names where name = v_agent.name;
        update nomiqon.agents set name = p_args ->> 'name' where agent_id = v_agent.agent_id;
    end if;

    if p_args -> 'metadata' is not null then
        v_metadata := jsonb_strip_nulls(v_agent.metadata || (p_args -> 'metadata'));
        if (select count(*) from jsonb_object_keys(v_metadata)) > 32 then
            perform nomiqon.internal_fail('NQ422', 'metadata has at most 32 pairs', '/metadata');
        end if;
        update nomiqon.agents set metadata = v_metadata where agent_id = v_agent.agent_id;
    end if;

    v_document := nomiqon.internal_next_policy(v_agent, p_args);
    if nomiqon.internal_policy_members(v_document) <> (
            select nomiqon.internal_policy_members(p.document) from nomiqon.policies p
            where p.agent_id = v_agent.agent_id and p.version = v_agent.policy_version) then
        insert into nomiqon.policies (agent_id, version, policy_id, document, created_by, reason)
        select v_agent.agent_id, p.version + 1, p.policy_id, v_document, p_args ->> 'by', p_args ->> 'reason'
        from nomiqon.policies p where p.agent_id = v_agent.agent_id and p.version = v_agent.policy_version;
        update nomiqon.agents
        set policy_version = v_agent.policy_version + 1, frozen = coalesce((v_document ->> 'frozen')::boolean, false),
            daily_cap = nomiqon.internal_nanos(v_document ->> 'dailyCap'),
            total_cap = nomiqon.internal_nanos(v_document ->> 'totalCap'),
            max_per_request = nomiqon.internal_nanos(v_document ->> 'maxPerRequest')
        where agent_id = v_agent.agent_id;
        perform nomiqon.internal_wake(v_agent.agent_id);
    end if;
    return nomiqon.internal_done(p_args, nomiqon.internal_agent(v_agent.agent_id));
end $$;

-- `to`: active, paused or terminated. What it is already, it stays.
create function nomiqon.admin_set_agent_status(p_args jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, nomiqon, pg_temp
as $$
declare
    v_agent nomiqon.agents;
    v_to text := p_args ->> 'to';
    v_answer jsonb := nomiqon.internal_begin(p_args);
begin
    if v_answer is not null then
        return v_answer;
    end if;
    v_agent := nomiqon.internal_lock_agent(p_args ->> 'agent', v_to <> 'terminated');
    if v_agent.status <> v_to then
        update nomiqon.agents
        set status = v_to, terminated_at = case when v_to = 'terminated' then nomiqon.internal_now() end
        where agent_id = v_agent.agent_id;
    end if;
    if v_to = 'terminated' then
        delete from nomiqon.agent_names n where n.name = v_agent.name and n.agent_id = v_agent.agent_id;
        perform nomiqon.internal_return_funds(v_agent.agent_id, nomiqon.internal_now());
    end if;
    return nomiqon.internal_done(p_args, nomiqon.internal_agent(v_agent.agent_id));
end $$;

create function nomiqon.admin_list_agent_policies(p_args jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, nomiqon, pg_temp
as $$
begin
    perform nomiqon.admin_get_policy(p_args);
    return (
        select jsonb_build_object(
            'total', (select count(*) from nomiqon.policies p where p.agent_id = p_args ->> 'agent'),
            'items', (select coalesce(jsonb_agg(nomiqon.internal_policy_version(v) order by v.version desc), '[]')
                      from (select p.* from nomiqon.policies p
                            where p.agent_id = p_args ->> 'agent'
                              and (p_args ->> 'after' is null or p.version < (p_args ->> 'after')::integer)
                            order by p.version desc limit (p_args ->> 'limit')::integer + 1) v)));
end $$;

-- Identities and money -------------------------------------------------------------------------------------------------

create function nomiqon.admin_add_caid(p_args jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, nomiqon, pg_temp
as $$
declare
    v_agent nomiqon.agents;
    v_answer jsonb := nomiqon.internal_begin(p_args);
begin
    if v_answer is not null then
        return v_answer;
    end if;
    v_agent := nomiqon.internal_lock_agent(p_args ->> 'agent', true);
    if (select count(*) from nomiqon.caids c where c.agent_id = v_agent.agent_id and c.status = 'active') >= 32 then
        perform nomiqon.internal_fail('NQ409', 'an agent has at most 32 active identities; revoke one first', '/publicKey');
    end if;
    perform nomiqon.internal_claim_caid(v_agent.agent_id, p_args ->> 'caid', '/publicKey');
    return nomiqon.internal_done(p_args, nomiqon.internal_agent(v_agent.agent_id));
end $$;

create function nomiqon.admin_revoke_caid(p_args jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, nomiqon, pg_temp
as $$
declare
    v_agent nomiqon.agents;
    v_answer jsonb := nomiqon.internal_begin(p_args);
begin
    if v_answer is not null then
        return v_answer;
    end if;
    v_agent := nomiqon.internal_lock_agent(p_args ->> 'agent', false);
    if not exists (select from nomiqon.caids c where c.agent_id = v_agent.agent_id and c.caid = p_args ->> 'caid') then
        perform nomiqon.internal_fail('NQ404', 'the agent has no such identity');
    end if;
    update nomiqon.caids set status = 'revoked', revoked_at = nomiqon.internal_now()
    where agent_id = v_agent.agent_id and caid = p_args ->> 'caid' and status = 'active';
    return nomiqon.internal_done(p_args, nomiqon.internal_agent(v_agent.agent_id));
end $$;

create function nomiqon.admin_fund_agent(p_args jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, nomiqon, pg_temp
as $$
declare
    v_agent nomiqon.agents;
    v_amount bigint := (p_args ->> 'amount')::bigint;
    v_before bigint;
    v_answer jsonb := nomiqon.internal_begin(p_args);
begin
    if v_answer is not null then
        return v_answer;
    end if;
    v_agent := nomiqon.internal_lock_agent(p_args ->> 'agent', false);

    select f.amount into v_before from nomiqon.funding_references f
    where f.agent_id = v_agent.agent_id and f.reference = p_args ->> 'reference';
    if found then
        if v_before <> v_amount then
            perform nomiqon.internal_fail('NQ409', format('this reference already funded %s USDC',
                                                          nomiqon.internal_usdc(v_before)), '/reference');
        end if;
        return nomiqon.internal_done(p_args, nomiqon.internal_agent(v_agent.agent_id));
    end if;

    perform nomiqon.internal_lock_agent(p_args ->> 'agent', true);
    insert into nomiqon.funding_references (agent_id, reference, amount)
    values (v_agent.agent_id, p_args ->> 'reference', v_amount);
    perform nomiqon.internal_treasury_transfer(v_agent.agent_id, 'fund', v_amount, p_args ->> 'reference');
    return nomiqon.internal_done(p_args, nomiqon.internal_agent(v_agent.agent_id));
end $$;

create function nomiqon.internal_spend(p_agent text) returns jsonb
language sql stable set search_path = pg_catalog, nomiqon, pg_temp
as $$
    select jsonb_build_object(
        'day', n.day, 'cap', nomiqon.internal_usdc(a.daily_cap), 'spent', nomiqon.internal_usdc(d.spent),
        'reserved', nomiqon.internal_usdc(d.reserved), 'left', nomiqon.internal_left(a.daily_cap, d.spent, d.reserved),
        'wallet', jsonb_build_object('balance', nomiqon.internal_usdc(w.balance),
                                     'reserved', nomiqon.internal_usdc(w.reserved),
                                     'available', nomiqon.internal_usdc(w.balance::numeric - w.reserved)),
        'status', a.status, 'policy', nomiqon.internal_policy_version(p),
        'resets', nomiqon.internal_time((n.day + 1)::timestamp at time zone 'UTC'))
    from (select nomiqon.internal_today() as day) n
    cross join nomiqon.agents a
    join nomiqon.wallets w on w.agent_id = a.agent_id
    join nomiqon.policies p on p.agent_id = a.agent_id and p.version = a.policy_version
    cross join lateral (
        select coalesce(max(x.spent), 0) as spent, coalesce(max(x.reserved), 0) as reserved from nomiqon.agent_days x
        where x.agent_id = a.agent_id and x.day = n.day) d
    where a.agent_id = p_agent
$$;

create function nomiqon.admin_get_spend(p_args jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, nomiqon, pg_temp
as $$
declare
    v_answer jsonb := nomiqon.internal_spend(p_args ->> 'agent');
begin
    if v_answer is null then
        perform nomiqon.internal_fail('NQ404', 'there is no such agent');
    end if;
    return v_answer;
end $$;

-- The same for the bearer of a spend token, whose form and signature were checked: {spend}, or {refusal}.
create function nomiqon.admin_get_own_spend(p_args jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, nomiqon, pg_temp
as $$
declare
    v_caid nomiqon.caids;
    v_refusal text;
begin
    select c.* into v_caid from nomiqon.caid_owners o
    join nomiqon.caids c on c.agent_id = o.agent_id and c.caid = o.caid
    where o.caid = p_args ->> 'caid';
    v_refusal := case
        when not found then 'spend_token_invalid'
        when p_args ->> 'claimed_agent' <> v_caid.agent_id then 'spend_token_invalid'
        when (p_args ->> 'exp')::bigint <= extract(epoch from nomiqon.internal_now()) then 'spend_token_expired'
        when nomiqon.is_token_used(v_caid.agent_id, v_caid.caid, (p_args ->> 'exp')::bigint, p_args ->> 'jti')
            then 'spend_token_replayed'
        when v_caid.status = 'revoked' then 'identity_revoked'
    end;
    if v_refusal is not null then
        return jsonb_build_object('refusal', v_refusal);
    end if;
    return jsonb_build_object('spend', nomiqon.internal_spend(v_caid.agent_id));
end $$;

-- Templates of policies --------------------------------------------------------------------------------------------------

create function nomiqon.internal_template(t nomiqon.policy_templates) returns jsonb
language sql stable set search_path = pg_catalog, nomiqon, pg_temp
as $$
    select nomiqon.internal_policy_members(t.document)
           || jsonb_build_object('id', t.policy_id, 'name', t.name, 'createdAt', nomiqon.internal_time(t.created_at),
                                 'createdBy', t.created_by)
$$;

create function nomiqon.admin_create_template(p_args jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, nomiqon, pg_temp
as $$
declare
    v_template nomiqon.policy_templates;
    v_answer jsonb := nomiqon.internal_begin(p_args);
begin
    if v_answer is not null then
        return v_answer;
    end if;
    insert into nomiqon.policy_templates (policy_id, name, document, created_by)
    values (p_args ->> 'policy_id', p_args ->> 'name', p_args -> 'document', p_args ->> 'by')
    on conflict do nothing returning * into v_template;
    if not found then
        perform nomiqon.internal_fail('NQ409', 'another policy has this name', '/name');
    end if;
    return nomiqon.internal_done(p_args, nomiqon.internal_template(v_template));
end $$;

-- As the API shows it, and the document alone, which is what an agent is given.
create function nomiqon.admin_get_template(p_args jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, nomiqon, pg_temp
as $$
declare
    v_template nomiqon.policy_templates;
begin
    select t.* into v_template from nomiqon.policy_templates t where t.policy_id = p_args ->> 'policy_id';
    if not found then
        perform nomiqon.internal_fail('NQ404', 'there is no such policy');
    end if;
    return jsonb_build_object('template', nomiqon.internal_template(v_template), 'document', v_template.document);
end $$;

create function nomiqon.admin_list_templates(p_args jsonb) returns jsonb
language sql security definer set search_path = pg_catalog, nomiqon, pg_temp
as $$
    select jsonb_build_object(
        'total', (select count(*) from nomiqon.policy_templates),
        'items', (select coalesce(jsonb_agg(nomiqon.internal_template(v) order by v.policy_id desc), '[]')
                  from (select t.* from nomiqon.policy_templates t
                        where p_args ->> 'after' is null or t.policy_id < p_args ->> 'after'
                        order by t.policy_id desc limit (p_args ->> 'limit')::integer + 1) v))
$$;

create function nomiqon.admin_delete_template(p_args jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, nomiqon, pg_temp
as $$
declare
    v_template nomiqon.policy_templates;
    v_answer jsonb := nomiqon.internal_begin(p_args);
begin
    if v_answer is not null then
        return v_answer;
    end if;
    delete from nomiqon.policy_templates where policy_id = p_args ->> 'policy_id' returning * into v_template;
    if not found then
        perform nomiqon.internal_fail('NQ404', 'there is no such policy');
    end if;
    return nomiqon.internal_done(p_args, nomiqon.internal_template(v_template));
end $$;

-- API keys: only SHA-256 of a key is known here ----------------------------------------------------------------------------

create function nomiqon.internal_api_key(k nomiqon.api_keys) returns jsonb
language sql stable set search_path = pg_catalog, nomiqon, pg_temp
as $$
    select jsonb_build_object('id', k.key_id, 'name', k.name, 'scopes', to_jsonb(k.scopes),
                              'createdAt', nomiqon.internal_time(k.created_at), 'createdBy', k.created_by,
                              'revokedAt', nomiqon.internal_time(k.revoked_at))
$$;

-- Null for an unknown or a revoked key.
create function nomiqon.admin_authenticate(p_args jsonb) returns jsonb
language sql stable security definer set search_path = pg_catalog, nomiqon, pg_temp
as $$
    select coalesce((select jsonb_build_object('id', k.key_id, 'scopes', to_jsonb(k.scopes)) from nomiqon.api_keys k
                     where k.key_hash = p_args ->> 'hash' and k.revoked_at is null), 'null')
$$;

create function nomiqon.internal_new_api_key(p_args jsonb) returns nomiqon.api_keys
language sql set search_path = pg_catalog, nomiqon, pg_temp
as $$
    insert into nomiqon.api_keys (key_id, name, key_hash, scopes, created_by)
    select p_args ->> 'key_id', p_args ->> 'name', p_args ->> 'hash', array(select jsonb_array_elements_text(p_args -> 'scopes')),
           p_args ->> 'by'
    returning *
$$;

create function nomiqon.admin_create_api_key(p_args jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, nomiqon, pg_temp
as $$
declare
    v_answer jsonb := nomiqon.internal_begin(p_args);
begin
    if v_answer is not null then
        return v_answer;
    end if;
    return nomiqon.internal_done(p_args, nomiqon.internal_api_key(nomiqon.internal_new_api_key(p_args)));
end $$;

create function nomiqon.internal_has_full_key() returns boolean
language sql set search_path = pg_catalog, nomiqon, pg_temp
as $$ select exists (select from nomiqon.api_keys k where k.revoked_at is null and 'full' = any (k.scopes)) $$;

create function nomiqon.admin_has_full_key(p_args jsonb) returns jsonb
language sql security definer set search_path = pg_catalog, nomiqon, pg_temp
as $$ select to_jsonb(nomiqon.internal_has_full_key()) $$;

-- Registers a `full` key if the database knows none. Answers whether this key is one that may be used.
create function nomiqon.admin_register_first_key(p_args jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, nomiqon, pg_temp
as $$
begin
    perform pg_advisory_xact_lock(420784, 2);
    if not nomiqon.internal_has_full_key() then
        -- A key that was revoked stays revoked, whatever file it stands in.
        if exists (select from nomiqon.api_keys k where k.key_hash = p_args ->> 'hash') then
            return 'false';
        end if;
        perform nomiqon.internal_new_api_key(p_args);
    end if;
    return to_jsonb(nomiqon.admin_authenticate(p_args) <> 'null');
end $$;

create function nomiqon.admin_list_api_keys(p_args jsonb) returns jsonb
language sql security definer set search_path = pg_catalog, nomiqon, pg_temp
as $$
    select jsonb_build_object(
        'total', (select count(*) from nomiqon.api_keys),
        'items', (select coalesce(jsonb_agg(nomiqon.internal_api_key(v) order by v.key_id desc), '[]')
                  from (select k.* from nomiqon.api_keys k
                        where p_args ->> 'after' is null or k.key_id < p_args ->> 'after'
                        order by k.key_id desc limit (p_args ->> 'limit')::integer + 1) v))
$$;

create function nomiqon.admin_revoke_api_key(p_args jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, nomiqon, pg_temp
as $$
declare
    v_key nomiqon.api_keys;
    v_answer jsonb := nomiqon.internal_begin(p_args);
begin
    if v_answer is not null then
        return v_answer;
    end if;
    perform pg_advisory_xact_lock(420784, 2);  -- so that two can't revoke each other's last one
    update nomiqon.api_keys k set revoked_at = coalesce(k.revoked_at, clock_timestamp())
    where k.key_id = p_args ->> 'key_id' returning k.* into v_key;
    if not found then
        perform nomiqon.internal_fail('NQ404', 'there is no such API key');
    end if;
    if not nomiqon.internal_has_full_key() then
        perform nomiqon.internal_fail('NQ409', 'this is the last key with scope `full`; make another one first');
    end if;
    return nomiqon.internal_done(p_args, nomiqon.internal_api_key(v_key));
end $$;

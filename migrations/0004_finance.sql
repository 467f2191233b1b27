-- The money's history: views for finance's role, which may read nothing else, and the functions behind the API's
-- transactions, transfers and reports. Amounts are in USDC in the views, in 1e-9 USDC in the tables below them.

-- Reservations with their endings, and refusals, as transactions. Two views, since a page of the newest is taken from
-- each by its index before they are put together.
create view nomiqon.internal_accepted as
select r.transaction_id, r.agent_id, r.day, r.created_at,
       case e.ending when 'settled' then 'settled' when 'released' then 'voided' else 'approved' end as status,
       coalesce(c.amount, e.amount, r.amount) as amount, r.amount as reserved, r.host,
       case when e.ending = 'released' then e.reason end as reject_code,
       r.method, coalesce(nullif(c.model, ''), nullif(e.model, ''), r.model) as model, r.ref, r.policy_version, r.caid,
       r.token_id, coalesce(e.unknown, false) and c.amount is null as unknown,
       coalesce(case when c.amount is null then e.overrun else c.amount > r.amount end, false) as overrun,
       case when e.ending = 'settled' then e.ended_at end as settled_at
from nomiqon.reservations r
left join nomiqon.endings e on e.agent_id = r.agent_id and e.day = r.day and e.transaction_id = r.transaction_id
left join nomiqon.corrections c on c.agent_id = r.agent_id and c.day = r.day and c.transaction_id = r.transaction_id;

create view nomiqon.internal_refused as
select f.transaction_id, f.agent_id, f.day, f.created_at, 'rejected'::text as status, f.amount, 0::bigint as reserved,
       f.host, f.code as reject_code, f.method, f.model, f.ref, f.policy_version, f.caid, f.token_id, false as unknown,
       false as overrun, null::timestamptz as settled_at
from nomiqon.refusals f;

create view nomiqon.internal_transactions as
select * from nomiqon.internal_accepted union all select * from nomiqon.internal_refused;

-- Finance ----------------------------------------------------------------------------------------------------------------

create view finance.transactions as
select t.transaction_id, t.agent_id, a.name as agent, t.day, t.created_at, t.status,
       (t.amount::numeric / 1000000000)::numeric(28, 9) as amount,
       (t.reserved::numeric / 1000000000)::numeric(28, 9) as reserved, t.host, nullif(t.reject_code, '') as reject_code, t.method,
       nullif(t.model, '') as model, nullif(t.ref, '') as ref, t.policy_version, t.caid, t.token_id, t.unknown, t.overrun,
       t.settled_at
from nomiqon.internal_transactions t join nomiqon.agents a on a.agent_id = t.agent_id;

create view finance.spend as
select t.agent_id, a.name as agent, t.day, t.host, (sum(t.amount) / 1000000000)::numeric(28, 9) as amount,
       count(*) as requests
from nomiqon.internal_accepted t join nomiqon.agents a on a.agent_id = t.agent_id
where t.status = 'settled'
group by t.agent_id, a.name, t.day, t.host;

create view finance.transfers as
select x.transfer_id, x.agent_id, a.name as agent, x.day, x.kind, x.debit, x.credit,
       (x.amount::numeric / 1000000000)::numeric(28, 9) as amount, x.transaction_id, x.reference, x.created_at
from nomiqon.transfers x join nomiqon.agents a on a.agent_id = x.agent_id;

create view finance.balances as
select a.agent_id, a.name as agent, a.status, (w.balance::numeric / 1000000000)::numeric(28, 9) as balance,
       (w.reserved::numeric / 1000000000)::numeric(28, 9) as reserved,
       ((w.balance::numeric - w.reserved) / 1000000000)::numeric(28, 9) as available,
       (w.spent::numeric / 1000000000)::numeric(28, 9) as spent
from nomiqon.agents a join nomiqon.wallets w on w.agent_id = a.agent_id;

comment on view finance.spend is 'What was settled, by agent, day and host. Free calls count as requests at 0.';
comment on column finance.spend.agent_id is 'The agent''s id, ag_…; two agents can have had one name, one after the other';
comment on column finance.spend.agent is 'The agent''s name';
comment on column finance.spend.day is 'The UTC day in which the money was reserved, which is the day it counts against';
comment on column finance.spend.host is 'Who was paid';
comment on column finance.spend.amount is 'USDC';
comment on column finance.spend.requests is 'How many requests were settled';

comment on view finance.transactions is 'Every request that asked for money: approved (held), settled, voided (given back), rejected.';
comment on column finance.transactions.transaction_id is 'txn_…; sorts by time';
comment on column finance.transactions.day is 'The UTC day that it counts against';
comment on column finance.transactions.amount is 'USDC: what was settled; while approved what is held; rejected: what was asked for';
comment on column finance.transactions.reserved is 'USDC that was held for it';
comment on column finance.transactions.host is 'Who was, or would have been, paid';
comment on column finance.transactions.reject_code is 'Why it was rejected, or why nothing was sent';
comment on column finance.transactions.ref is 'The agent''s own label, signed in its token';
comment on column finance.transactions.policy_version is 'The version of the policy that decided';
comment on column finance.transactions.caid is 'The identity that signed the token';
comment on column finance.transactions.token_id is 'The token''s jti';
comment on column finance.transactions.unknown is 'Settled in full because nobody knows what it really cost';
comment on column finance.transactions.overrun is 'It cost more than was held';

comment on view finance.transfers is 'Double entry: each movement of money from the account debit to the account credit.';
comment on column finance.transfers.kind is 'fund, reserve, settle, release, return (of a terminated agent''s money), correct (of what had expired), adjust (by finance)';
comment on column finance.transfers.debit is 'The account that gives: treasury, the agent''s wallet or held, provider:<host>';
comment on column finance.transfers.credit is 'The account that takes';
comment on column finance.transfers.amount is 'USDC';
comment on column finance.transfers.reference is 'Of a funding: what the caller named it; of an adjustment: its reason';

comment on view finance.balances is 'Each agent''s wallet now.';
comment on column finance.balances.balance is 'USDC, what is held included';
comment on column finance.balances.reserved is 'USDC held for open requests';
comment on column finance.balances.available is 'USDC: balance less reserved';
comment on column finance.balances.spent is 'USDC settled in all';

-- Transactions -------------------------------------------------------------------------------------------------------------

create function nomiqon.internal_transaction(t nomiqon.internal_transactions) returns jsonb
language sql stable set search_path = pg_catalog, nomiqon, pg_temp
as $$
    select jsonb_build_object(
        'id', t.transaction_id, 'agentId', t.agent_id, 'amount', nomiqon.internal_usdc(t.amount),
        'reserved', nomiqon.internal_usdc(t.reserved), 'currency', 'USDC', 'recipient', t.host, 'status', t.status,
        'rejectCode', nullif(t.reject_code, ''), 'method', t.method, 'model', nullif(t.model, ''),
        'ref', nullif(t.ref, ''), 'policyVersion', t.policy_version, 'caid', t.caid, 'tokenId', t.token_id,
        'unknown', t.unknown, 'overrun', t.overrun, 'signature', null, 'blockTime', null,
        'createdAt', nomiqon.internal_time(t.created_at), 'settledAt', nomiqon.internal_time(t.settled_at))
$$;

-- The caller's filters as a condition on one of the views above. `from` is the first instant, `to` the first one after.
create function nomiqon.internal_transaction_filter(p_args jsonb) returns text
language sql stable set search_path = pg_catalog, nomiqon, pg_temp
as $$
    select coalesce(string_agg(c.condition, ' and '), 'true')
    from (select format(f.template, p_args ->> f.name) as condition
          from (values ('agent', 'agent_id = %L'), ('status', 'status = %L'), ('recipient', 'host = %L'),
                       ('ref', 'ref = %L'), ('after', 'transaction_id < %L'),
                       ('from', 'created_at >= %1$L::timestamptz and day >= (%1$L::timestamptz at time zone ''UTC'')::date'),
                       ('to', 'created_at < %1$L::timestamptz and day <= (%1$L::timestamptz at time zone ''UTC'')::date'))
               as f(name, template)
          where p_args ->> f.name is not null) c
$$;

create function nomiqon.admin_list_transactions(p_args jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, nomiqon, pg_temp
as $$
declare
    v_items jsonb;
begin
    execute format(
        'select coalesce(jsonb_agg(nomiqon.internal_transaction(row(page.*)::nomiqon.internal_transactions)
                                   order by page.transaction_id desc), ''[]'')
         from (select * from ((select * from nomiqon.internal_accepted where %1$s order by transaction_id desc limit %2$s)
                              union all
                              (select * from nomiqon.internal_refused where %1$s order by transaction_id desc limit %2$s)) u
               order by transaction_id desc limit %2$s) page',
        nomiqon.internal_transaction_filter(p_args), (p_args ->> 'limit')::integer + 1) into v_items;
    return jsonb_build_object('items', v_items);
end $$;

create function nomiqon.admin_get_transaction(p_args jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, nomiqon, pg_temp
as $$
declare
    v_answer jsonb;
begin
    select nomiqon.internal_transaction(t) into v_answer from nomiqon.internal_transactions t
    where t.transaction_id = p_args ->> 'transaction';
    if not found then
        perform nomiqon.internal_fail('NQ404', 'there is no such transaction');
    end if;
    return v_answer;
end $$;

create function nomiqon.admin_transaction_stats(p_args jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, nomiqon, pg_temp
as $$
declare
    v_answer jsonb;
begin
    execute format(
        'with hosts as (
             select host, coalesce(sum(amount) filter (where status = ''settled''), 0) as spent,
                    count(*) filter (where status <> ''rejected'') as accepted,
                    count(*) filter (where status = ''rejected'') as rejected
             from nomiqon.internal_transactions where %s group by host)
         select jsonb_build_object(
             ''totalSpent'', nomiqon.internal_usdc(coalesce((select sum(spent) from hosts), 0)),
             ''transactionCount'', coalesce((select sum(accepted) from hosts), 0)::bigint,
             ''rejectedCount'', coalesce((select sum(rejected) from hosts), 0)::bigint,
             ''topRecipients'', coalesce((
                 select jsonb_agg(jsonb_build_object(''hostname'', top.host, ''totalUsdc'', nomiqon.internal_usdc(top.spent))
                                  order by top.spent desc, top.host)
                 from (select host, spent from hosts where spent > 0 order by spent desc, host limit 10) top), ''[]''))',
        nomiqon.internal_transaction_filter(p_args)) into v_answer;
    return v_answer;
end $$;

-- Transfers and reports ------------------------------------------------------------------------------------------------------

create function nomiqon.admin_list_transfers(p_args jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, nomiqon, pg_temp
set plan_cache_mode = force_custom_plan
as $$
declare
    v_agent text := p_args ->> 'agent';
    v_day date := (p_args ->> 'day')::date;
    v_account text := p_args ->> 'account';
    v_transaction text := p_args ->> 'transaction';
    v_after bigint := (p_args ->> 'after')::bigint;
begin
    return jsonb_build_object('items', (
        select coalesce(jsonb_agg(jsonb_build_object(
                   'id', page.transfer_id::text, 'agentId', page.agent_id, 'day', page.day, 'kind', page.kind,
                   'debit', page.debit, 'credit', page.credit, 'amount', nomiqon.internal_usdc(page.amount),
                   'transactionId', page.transaction_id, 'reference', page.reference,
                   'createdAt', nomiqon.internal_time(page.created_at)) order by page.transfer_id desc), '[]')
        from (select x.* from nomiqon.transfers x
              where (v_agent is null or x.agent_id = v_agent) and (v_day is null or x.day = v_day)
                and (v_account is null or x.debit = v_account or x.credit = v_account)
                and (v_transaction is null or x.transaction_id = v_transaction)
                and (v_after is null or x.transfer_id < v_after)
              order by x.transfer_id desc limit (p_args ->> 'limit')::integer + 1) page));
end $$;

-- `group_by`: agent, day, host, model, ref, or metadata.<key>. A row has its groups' names as members; an agent stands
-- with its id too, since two can have had one name. More rows than `limit` are refused, not cut: a sum over a part would
-- be a wrong number.
create function nomiqon.admin_report_spend(p_args jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, nomiqon, pg_temp
as $$
declare
    v_columns text := '';
    v_groups text := '';
    v_group text;
    v_expression text;
    v_rows jsonb;
begin
    for v_group in select jsonb_array_elements_text(p_args -> 'group_by') loop
        v_expression := case v_group
            when 'agent' then 'a.name'
            when 'day' then 't.day'
            when 'host' then 't.host'
            when 'model' then 'nullif(t.model, '''')'
            when 'ref' then 'nullif(t.ref, '''')'
            else format('a.metadata ->> %L', substr(v_group, length('metadata.') + 1)) end;
        if v_group = 'agent' then
            v_columns := v_columns || '''agentId'', t.agent_id, ';
            v_groups := v_groups || 't.agent_id, ';
        end if;
        v_columns := v_columns || format('%L, %s, ', v_group, v_expression);
        v_groups := v_groups || v_expression || ', ';
    end loop;
    execute format(
        'select coalesce(jsonb_agg(r.item), ''[]'')
         from (select jsonb_build_object(%1$s ''amount'', nomiqon.internal_usdc(sum(t.amount)), ''requests'', count(*)) as item
               from (select * from nomiqon.internal_accepted where status = ''settled'' and %2$s) t
               join nomiqon.agents a on a.agent_id = t.agent_id
               group by %3$s
               order by %3$s
               limit %4$s) r',
        v_columns, nomiqon.internal_transaction_filter(jsonb_build_object('from', p_args -> 'from', 'to', p_args -> 'to')),
        rtrim(v_groups, ', '), (p_args ->> 'limit')::integer + 1) into v_rows;
    if jsonb_array_length(v_rows) > (p_args ->> 'limit')::integer then
        perform nomiqon.internal_fail('NQ422', format('the report would have more than %s rows; ask for fewer days or groups',
                                                      p_args ->> 'limit'), '/group_by');
    end if;
    return v_rows;
end $$;

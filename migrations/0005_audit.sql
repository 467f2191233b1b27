-- What an audit reads, and finance's adjustments. The audit itself is `nomiqon ledger verify`, which trusts no sum that
-- this database has stored: it takes the lines of each agent's chain and computes everything again (docs/audit.md).
--
-- Amounts are counts of 1e-9 USDC here, as in the lines.

-- The heads of the chains ----------------------------------------------------------------------------------------------

-- A page of agents with what their rows say: the chain's head, the wallet, the days, and, where `counts` asks for it, how
-- many rows there are that must have a line. One statement, so one moment: what is reserved meanwhile is in all of it or
-- in none.
create function nomiqon.admin_ledger_heads(p_args jsonb) returns jsonb
language sql stable security definer set search_path = pg_catalog, nomiqon, pg_temp
as $$
    with page as (
        select a.agent_id, a.name, a.status, w.*
        from nomiqon.agents a
        cross join lateral (
            select l.chain_seq, l.chain_hash, l.balance, l.reserved, l.spent, l.exposed
            from nomiqon.wallets l where l.agent_id = a.agent_id) w
        where (p_args ->> 'agent' is null or a.agent_id = p_args ->> 'agent')
          and (p_args ->> 'after' is null or a.agent_id > p_args ->> 'after')
        order by a.agent_id limit (p_args ->> 'limit')::integer + 1)
    select jsonb_build_object('items', coalesce(jsonb_agg(
        jsonb_build_object(
            'id', p.agent_id, 'name', p.name, 'status', p.status, 'seq', p.chain_seq, 'hash', encode(p.chain_hash, 'hex'),
            'balance', p.balance, 'reserved', p.reserved, 'spent', p.spent, 'exposed', p.exposed,
            'caids', (select coalesce(jsonb_agg(c.caid order by c.created_at, c.caid), '[]') from nomiqon.caids c
                      where c.agent_id = p.agent_id),
            'days', (select coalesce(jsonb_agg(jsonb_build_object('day', d.day, 'spent', d.spent, 'reserved', d.reserved)
                                               order by d.day), '[]')
                     from nomiqon.agent_days d where d.agent_id = p.agent_id))
        || case when (p_args ->> 'counts')::boolean then jsonb_build_object('rows', jsonb_build_object(
            'transfers', (select count(*) from nomiqon.transfers t where t.agent_id = p.agent_id),
            'reservations', (select count(*) from nomiqon.reservations r where r.agent_id = p.agent_id),
            'endings', (select count(*) from nomiqon.endings e where e.agent_id = p.agent_id),
            'corrections', (select count(*) from nomiqon.corrections c where c.agent_id = p.agent_id)))
           else '{}' end
        order by p.agent_id), '[]'))
    from page p
$$;

-- The lines --------------------------------------------------------------------------------------------------------------

-- The lines of an agent after `p_after` up to `p_until`, built again from what is stored: so a change of any column that a
-- line tells shows in the chain. The days of the page are looked up first and written out: a plan for all partitions
-- would open every day there ever was.
create function nomiqon.internal_lines(p_agent text, p_after bigint, p_until bigint, p_limit integer)
returns table (seq bigint, line text, hash bytea)
language plpgsql stable set search_path = pg_catalog, nomiqon, pg_temp
set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
    v_last bigint;
    v_days date[];
    v_reserved_on date[];
begin
    select max(u.seq), array_agg(distinct u.day), array_agg(distinct u.reservation_day)
    into v_last, v_days, v_reserved_on
    from (select t.seq, t.day, t.reservation_day from nomiqon.transfers t
          where t.agent_id = p_agent and t.seq > p_after and t.seq <= p_until
          order by t.seq limit p_limit) u;
    return query execute format($query$
        select t.seq, case
            when t.kind = 'reserve' then json_build_array(
                t.kind, t.seq, t.agent_id, t.day, nomiqon.internal_micros(t.created_at), t.debit, t.credit, t.amount,
                t.transaction_id, t.reference, r.request_id, r.gateway_id, r.caid, r.policy_version, r.bound,
                r.overrun_limit, r.daily_cap, r.total_cap, r.token_max, r.scheme, r.host, r.port, r.method, r.model,
                r.ref, r.token_id, r.token_exp, r.token_session, r.token)
            when t.kind = 'settle' and t.debit = 'held' or t.kind = 'release' and e.ending = 'released' then
                json_build_array(
                    t.kind, t.seq, t.agent_id, t.day, nomiqon.internal_micros(t.created_at), t.debit, t.credit, t.amount,
                    t.transaction_id, t.reference, e.ending, e.amount, e.unknown, e.overrun, e.reason, e.model,
                    e.basis, t.reservation_day)
            when t.kind = 'correct' then json_build_array(
                t.kind, t.seq, t.agent_id, t.day, nomiqon.internal_micros(t.created_at), t.debit, t.credit, t.amount,
                t.transaction_id, t.reference, c.amount, c.reason, c.model, c.basis, t.reservation_day)
            else json_build_array(
                t.kind, t.seq, t.agent_id, t.day, nomiqon.internal_micros(t.created_at), t.debit, t.credit, t.amount,
                t.transaction_id, t.reference) end::text, t.hash
        from nomiqon.transfers t
        left join nomiqon.reservations r
             on t.kind = 'reserve' and r.agent_id = t.agent_id and r.transaction_id = t.transaction_id
                and r.day = t.reservation_day and r.day = any (%2$L::date[])
        left join nomiqon.endings e
             on t.kind in ('settle', 'release') and e.agent_id = t.agent_id and e.transaction_id = t.transaction_id
                and e.day = t.reservation_day and e.day = any (%2$L::date[])
        left join nomiqon.corrections c
             on t.kind = 'correct' and c.agent_id = t.agent_id and c.transaction_id = t.transaction_id
                and c.day = t.reservation_day and c.day = any (%2$L::date[])
        where t.agent_id = $1 and t.seq > $2 and t.seq <= $3 and t.day = any (%1$L::date[])
        order by t.seq$query$, v_days, v_reserved_on)
    using p_agent, p_after, v_last;
end $$;

create function nomiqon.admin_ledger_lines(p_args jsonb) returns jsonb
language sql stable security definer set search_path = pg_catalog, nomiqon, pg_temp
as $$
    select jsonb_build_object('items', coalesce(jsonb_agg(
        jsonb_build_object('seq', l.seq, 'line', l.line, 'hash', encode(l.hash, 'hex')) order by l.seq), '[]'))
    from nomiqon.internal_lines(p_args ->> 'agent', (p_args ->> 'after')::bigint, (p_args ->> 'until')::bigint,
                                (p_args ->> 'limit')::integer + 1) l
$$;

create function nomiqon.admin_price_book(p_args jsonb) returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, nomiqon, pg_temp
as $$
declare
    v_book nomiqon.price_books;
begin
    select * into v_book from nomiqon.price_books b where b.version = p_args ->> 'version';
    if not found then
        perform nomiqon.internal_fail('NQ404', 'there is no such price book');
    end if;
    return jsonb_build_object('version', v_book.version, 'document', v_book.document, 'keptAt', v_book.kept_at);
end $$;

-- The state before a day -------------------------------------------------------------------------------------------------

-- What an agent's lines before the day `from` add up to, for an audit that begins there, and the last line up to the day
-- `to`. From sums over rows, all before midnight: this costs about what reading them costs, and proves nothing of them.
create function nomiqon.internal_opening(p_agent text, p_from date, p_after bigint) returns jsonb
language plpgsql stable set search_path = pg_catalog, nomiqon, pg_temp
as $$
declare
    v_answer jsonb;
begin
    execute format($query$
        with moved as (
            select t.kind, t.debit, t.credit, t.reservation_day, sum(t.amount) as amount
            from nomiqon.transfers t where t.agent_id = $1 and t.day < %1$L and t.seq <= $2
            group by 1, 2, 3, 4),
        flows as (  -- what each movement does to balance, reserved and spent
            select m.reservation_day,
                   case when m.credit = 'held' then m.amount when m.debit = 'held' then -m.amount else 0 end as reserved,
                   case when m.credit like 'provider:%%' then m.amount when m.debit like 'provider:%%' then -m.amount
                        else 0 end as spent,
                   case when m.debit = 'treasury' then m.amount when m.credit = 'treasury' then -m.amount
                        else 0 end as funded
            from moved m),
        open as (
            select r.* from nomiqon.reservations r
            left join nomiqon.endings e on e.agent_id = r.agent_id and e.transaction_id = r.transaction_id
                 and e.day = r.day and e.day < %1$L and e.ended_at < %2$L
            where r.agent_id = $1 and r.day < %1$L and e.agent_id is null),
        expired as (
            select e.transaction_id, e.day, e.amount, r.host, r.caid, r.token_id, r.token_exp
            from nomiqon.endings e
            join nomiqon.reservations r on r.agent_id = e.agent_id and r.transaction_id = e.transaction_id and r.day = e.day
            where e.agent_id = $1 and e.day < %1$L and e.reason = 'expired' and e.ending = 'settled' and e.ended_at < %2$L
              and not exists (select from nomiqon.corrections c where c.agent_id = e.agent_id and c.day = e.day
                              and c.transaction_id = e.transaction_id and c.corrected_at < %2$L)),
        used as (  -- the tokens that the ledger still knew: no token lives longer than two days
            select r.caid, r.token_exp, r.token_id, bool_or(r.token_session) as session,
                   coalesce(sum(coalesce(c.amount, e.amount)), 0) as spent,
                   coalesce(sum(r.amount) filter (where e.agent_id is null), 0) as reserved
            from nomiqon.reservations r
            left join nomiqon.endings e on e.agent_id = r.agent_id and e.transaction_id = r.transaction_id
                 and e.day = r.day and e.ended_at < %2$L
            left join nomiqon.corrections c on c.agent_id = r.agent_id and c.transaction_id = r.transaction_id
                 and c.day = r.day and c.corrected_at < %2$L
            where r.agent_id = $1 and r.day between %1$L::date - 3 and %1$L::date - 1
              and r.token_exp >= extract(epoch from %2$L::timestamptz) - 3600
            group by 1, 2, 3)
        select jsonb_build_object(
            'balance', coalesce(sum(f.funded - f.spent), 0), 'reserved', coalesce(sum(f.reserved), 0),
            'spent', coalesce(sum(f.spent), 0),
            'exposed', (select coalesce(sum(o.bound - o.amount), 0) from open o),
            'days', (select coalesce(jsonb_agg(jsonb_build_object('day', d.day, 'spent', d.spent, 'reserved', d.reserved)
                                               order by d.day), '[]')
                     from (select g.reservation_day as day, sum(g.spent) as spent, sum(g.reserved) as reserved
                           from flows g where g.reservation_day is not null group by 1) d),
            'open', (select coalesce(jsonb_agg(jsonb_build_object(
                         'transaction', o.transaction_id, 'day', o.day, 'host', o.host, 'held', o.amount,
                         'bound', o.bound, 'caid', o.caid, 'tokenId', o.token_id, 'tokenExp', o.token_exp)
                         order by o.transaction_id), '[]') from open o),
            'expired', (select coalesce(jsonb_agg(jsonb_build_object(
                            'transaction', x.transaction_id, 'day', x.day, 'host', x.host, 'booked', x.amount,
                            'caid', x.caid, 'tokenId', x.token_id, 'tokenExp', x.token_exp)
                            order by x.transaction_id), '[]') from expired x),
            'tokens', (select coalesce(jsonb_agg(jsonb_build_object(
                           'caid', u.caid, 'tokenId', u.token_id, 'tokenExp', u.token_exp, 'session', u.session,
                           'spent', u.spent, 'reserved', u.reserved)
                           order by u.token_exp, u.caid, u.token_id), '[]') from used u))
        from flows f$query$, p_from, p_from::timestamp at time zone 'UTC')
    into v_answer using p_agent, p_after;
    return v_answer;
end $$;

create function nomiqon.admin_ledger_opening(p_args jsonb) returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, nomiqon, pg_temp
as $$
declare
    v_agent text := p_args ->> 'agent';
    v_from date := (p_args ->> 'from')::date;
    v_after bigint;
    v_until bigint;
    v_head bigint;
    v_hash bytea;
begin
    select w.chain_seq into v_head from nomiqon.wallets w where w.agent_id = v_agent;
    if not found then
        perform nomiqon.internal_fail('NQ404', 'there is no such agent');
    end if;
    execute format('select min(t.seq) - 1 from nomiqon.transfers t where t.agent_id = $1 and t.day >= %L', v_from)
        into v_after using v_agent;
    v_after := coalesce(v_after, v_head);
    -- Only where the database's clock was set back over a midnight, and then a day has no beginning in the chain.
    if exists (select from nomiqon.transfers t where t.agent_id = v_agent and t.seq > v_after and t.day < v_from) then
        perform nomiqon.internal_fail('NQ409', 'lines of the day before stand among this day''s; begin at another', '/from');
    end if;
    if p_args ->> 'to' is null then
        v_until := v_head;
    else
        execute format('select max(t.seq) from nomiqon.transfers t where t.agent_id = $1 and t.day <= %L and t.seq > $2',
                       p_args ->> 'to') into v_until using v_agent, v_after;
        v_until := coalesce(v_until, v_after);
    end if;
    select t.hash into v_hash from nomiqon.transfers t where t.agent_id = v_agent and t.seq = v_after;
    return nomiqon.internal_opening(v_agent, v_from, v_after)
           || jsonb_build_object('agent', v_agent, 'seq', v_after, 'until', v_until,
                                 'hash', encode(coalesce(v_hash, decode(repeat('00', 32), 'hex')), 'hex'));
end $$;

-- Adjustments ------------------------------------------------------------------------------------------------------------

-- Finance moves money between the treasury and a wallet: a refund where the amount is above zero, a debit below. It is no
-- spending and takes none back: a refund gives no day's cap back, and no total's.
create function nomiqon.admin_adjust(p_args jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, nomiqon, pg_temp
as $$
declare
    v_agent nomiqon.agents;
    v_wallet nomiqon.wallets;
    v_amount bigint := (p_args ->> 'amount')::bigint;
    v_answer jsonb := nomiqon.internal_begin(p_args);
begin
    if v_answer is not null then
        return v_answer;
    end if;
    v_agent := nomiqon.internal_lock_agent(p_args ->> 'agent', true);
    select w.* into v_wallet from nomiqon.wallets w where w.agent_id = v_agent.agent_id;
    if v_amount < 0 and v_wallet.balance::numeric - v_wallet.reserved + v_amount < 0 then
        perform nomiqon.internal_fail('NQ409', format('only %s USDC are available; what is held can''t be taken',
            nomiqon.internal_usdc(greatest(v_wallet.balance::numeric - v_wallet.reserved, 0))), '/amount');
    end if;
    perform nomiqon.internal_treasury_transfer(v_agent.agent_id, 'adjust', v_amount, p_args ->> 'reason');
    return nomiqon.internal_done(p_args, nomiqon.internal_agent(v_agent.agent_id));
end $$;

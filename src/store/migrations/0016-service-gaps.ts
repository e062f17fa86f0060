import type { Step } from '../migrate.ts';

/**
 * Every outage by itself, from the last sign of a daemon to the next: the books asked the clock of a row that a long run of theirs had left
 * old. And price reports are read in the order in which they were written. Every step can be run again.
 */
export const serviceGaps: readonly Step[] = [
	{
		name: 'service-gap',
		ddl: (t) => `create table if not exists service_gap (
			id ${t.autoId}, from_at bigint not null, until_at bigint not null)${t.end}`,
	},
	{ name: 'service-gap-from', ddl: () => 'create unique index service_gap_from on service_gap (from_at)' },
	{ name: 'service-gap-until', ddl: () => 'create index service_gap_until on service_gap (until_at)' },
	{
		name: 'ledger-state-reports',
		ddl: () => `update ledger_state set reports_id = coalesce(
			(select min(r.id) - 1 from price_report r where r.arrived_at >= ledger_state.reports_at),
			(select max(r.id) from price_report r), 0)`,
	},
	{
		name: 'service-gap-untold',
		ddl: () => `insert into service_gap (from_at, until_at) select l.alive_at, c.serving_since from ledger_state l, service_clock c
			where c.serving_since > l.serving_since and c.serving_since > l.alive_at
			and not exists (select 1 from service_gap g where g.from_at = l.alive_at)`,
	},
];

import type { Step } from '../migrate.ts';

/**
 * What hosts report, a row a report instead of a row a pool: a sixth of the rows, of the index entries and of the text that is sent. Every
 * step can be run again.
 */
export const priceReports: readonly Step[] = [
	{
		name: 'price-report',
		ddl: (t) => `create table if not exists price_report (
			id ${t.autoId}, client_id varchar(64) not null, handle varchar(64) not null, source varchar(32) not null, instance_type varchar(64),
			ondemand_micros bigint, current_micros bigint, points ${t.longText} not null, observed_at bigint not null, arrived_at bigint not null,
			foreign key (client_id) references client (id) on delete cascade)${t.end}`,
	},
	{ name: 'price-report-arrived', ddl: () => 'create index price_report_arrived on price_report (arrived_at)' },
	{ name: 'price-report-client', ddl: () => 'create index price_report_client on price_report (client_id, arrived_at)' },
	{
		// The id is that of the first price of a report, so that a second run adds nothing.
		name: 'price-report-copy',
		replaces: 'price_raw',
		ddl: (t) => `insert ${t.orIgnore} into price_report
			(id, client_id, handle, source, instance_type, ondemand_micros, current_micros, points, observed_at, arrived_at)
			select min(r.id), r.client_id, r.handle, r.source, min(case when r.ondemand_micros is null then null else p.instance_type end),
			max(r.ondemand_micros), null, ${t.objectOf}(r.pool_id, r.spot_micros), r.observed_at, r.arrived_at
			from price_raw as r join pool as p on p.id = r.pool_id
			group by r.client_id, r.handle, r.source, r.observed_at, r.arrived_at`,
	},
	{ name: 'price-raw-gone', ddl: () => 'drop table if exists price_raw' },
];

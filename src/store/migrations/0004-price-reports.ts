import type { Step } from '../migrate.ts';

/**
 * What hosts report, a row a report instead of a row a pool. `price_raw` stays as it is: daemons of before may still write into it while
 * this runs, and nothing reads it. Retention ends its rows as those of `price_report`. Every step can be run again.
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
];

import type { Step } from '../migrate.ts';

/** Price alerts, prices summed by hour, and the indexes of switch histories by agent and by time. Every step can be run again. */
export const alerts: readonly Step[] = [
	{
		name: 'price-hour',
		ddl: (t) => `create table if not exists price_hour (
			pool_id varchar(128) not null, hour bigint not null, points integer not null, synthetic integer not null, spot_sum bigint not null,
			square_sum double precision not null, ondemand_sum bigint not null, ondemand_points integer not null,
			primary key (pool_id, hour), foreign key (pool_id) references pool (id) on delete cascade)${t.end}`,
	},
	{
		name: 'price-hour-state',
		ddl: (t) => `create table if not exists price_hour_state (id integer not null primary key, until bigint not null)${t.end}`,
	},
	{
		name: 'price-alert',
		ddl: (t) => `create table if not exists price_alert (
			id ${t.autoId}, client_id varchar(64) not null, pool_id varchar(128), alert_type varchar(64) not null, direction varchar(16) not null,
			threshold_micros bigint not null, enabled integer not null, channels text not null, created_by varchar(255) not null,
			created_at bigint not null, check (direction in ('above', 'below')),
			foreign key (client_id) references client (id) on delete cascade)${t.end}`,
	},
	{ name: 'price-alert-client', ddl: () => 'create index price_alert_client on price_alert (client_id, id)' },
	{
		name: 'price-watch',
		ddl: (t) => `create table if not exists price_watch (
			alert_id bigint not null, pool_id varchar(128) not null, direction varchar(16) not null, threshold_micros bigint not null,
			armed integer not null, fired_at bigint, fired_micros bigint, primary key (alert_id, pool_id),
			foreign key (alert_id) references price_alert (id) on delete cascade,
			foreign key (pool_id) references pool (id) on delete cascade)${t.end}`,
	},
	{
		name: 'price-watch-pool',
		ddl: () => 'create index price_watch_pool on price_watch (pool_id, armed, direction, threshold_micros)',
	},
	{ name: 'switch-agent', ddl: () => 'create index switch_agent on switch_record (agent_id, id)' },
	{
		name: 'switch-downtime',
		ddl: () => 'create index switch_downtime on switch_record (client_id, created_at, downtime_ms, trigger_type, success)',
	},
	{ name: 'host-pool', ddl: () => 'create index host_pool on host (pool_id, role)' },
];

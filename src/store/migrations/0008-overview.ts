import type { Step } from '../migrate.ts';

/** Counters and daily figures for the overview, and the indexes of searches and fleet-wide lists. Every step can be run again. */
export const overview: readonly Step[] = [
	{
		name: 'switch-tally',
		ddl: (t) => `create table if not exists switch_tally (
			agent_id varchar(64) not null, trigger_type varchar(32) not null, client_id varchar(64) not null, switches bigint not null,
			failed bigint not null, measured bigint not null, downtime_ms bigint not null, primary key (agent_id, trigger_type),
			foreign key (agent_id) references agent (id) on delete cascade,
			foreign key (client_id) references client (id) on delete cascade)${t.end}`,
	},
	{ name: 'switch-tally-client', ddl: () => 'create index switch_tally_client on switch_tally (client_id, trigger_type)' },
	{
		name: 'switch-tally-filled',
		ddl: () => `replace into switch_tally (agent_id, trigger_type, client_id, switches, failed, measured, downtime_ms)
			select agent_id, trigger_type, min(client_id), count(*), sum(1 - success), count(downtime_ms), coalesce(sum(downtime_ms), 0)
			from switch_record group by agent_id, trigger_type`,
	},
	{
		name: 'fleet-day',
		ddl: (t) => `create table if not exists fleet_day (
			day bigint not null primary key, clients integer not null, active integer not null, added integer not null, taken_at bigint not null)${t.end}`,
	},
	{
		name: 'client-day',
		ddl: (t) => `create table if not exists client_day (
			client_id varchar(64) not null, day bigint not null, samples bigint not null, agents bigint not null, online bigint not null,
			primary key (client_id, day), foreign key (client_id) references client (id) on delete cascade)${t.end}`,
	},
	{ name: 'client-day-day', ddl: () => 'create index client_day_day on client_day (day)' },
	{ name: 'client-created', ddl: () => 'create index client_created on client (created_at)' },
	{
		name: 'client-ended',
		ddl: (t) => `create table if not exists client_ended (
			client_id varchar(64) not null primary key, machines bigint not null, until bigint not null,
			foreign key (client_id) references client (id) on delete cascade)${t.end}`,
	},
	{ name: 'host-client-role', ddl: () => 'create index host_client_role on host (client_id, role, terminated_at)' },
	{ name: 'logical-id-name', ddl: () => 'create index logical_id_name on logical_id (logical_id)' },
	{ name: 'emergency-received', ddl: () => 'create index emergency_received on emergency (received_at, id, kind)' },
];

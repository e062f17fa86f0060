import type { Step } from '../migrate.ts';

/**
 * The books. They begin when this is applied: what a machine cost before is not known, so none is invented; machines that live are entered
 * by the ledger job's first run. Every step can be run again.
 */
export const ledger: readonly Step[] = [
	{
		name: 'ledger-fact',
		ddl: (t) => `create table if not exists ledger_fact (
			id ${t.autoId}, client_id varchar(64) not null, agent_id varchar(64) not null, handle varchar(64) not null, at bigint not null,
			kind varchar(16) not null, instance_id varchar(255), role varchar(16), registered integer, mode varchar(16), pool_id varchar(128),
			instance_type varchar(64), region varchar(64), spot_micros bigint, ondemand_micros bigint, pending integer,
			foreign key (handle) references host (handle) on delete cascade)${t.end}`,
	},
	{ name: 'ledger-fact-handle', ddl: () => 'create index ledger_fact_handle on ledger_fact (handle, at)' },
	{ name: 'ledger-fact-pending', ddl: () => 'create index ledger_fact_pending on ledger_fact (pending, id)' },
	{
		name: 'ledger-host',
		ddl: (t) => `create table if not exists ledger_host (
			handle varchar(64) not null primary key, client_id varchar(64) not null, agent_id varchar(64) not null, instance_id varchar(255) not null,
			line varchar(16) not null, quality varchar(16) not null, mode varchar(16), pool_id varchar(128), start_at bigint not null,
			price_micros bigint, baseline_micros bigint, silent_at bigint, priced_at bigint, state ${t.longText} not null,
			foreign key (handle) references host (handle) on delete cascade)${t.end}`,
	},
	{ name: 'ledger-host-client', ddl: () => 'create index ledger_host_client on ledger_host (client_id, agent_id)' },
	{ name: 'ledger-host-agent', ddl: () => 'create index ledger_host_agent on ledger_host (agent_id)' },
	{ name: 'ledger-host-instance', ddl: () => 'create index ledger_host_instance on ledger_host (instance_id)' },
	{ name: 'ledger-host-silent', ddl: () => 'create index ledger_host_silent on ledger_host (silent_at)' },
	{ name: 'ledger-host-start', ddl: () => 'create index ledger_host_start on ledger_host (start_at)' },
	{
		name: 'cost-segment',
		ddl: (t) => `create table if not exists cost_segment (
			id ${t.autoId}, client_id varchar(64) not null, agent_id varchar(64) not null, handle varchar(64) not null,
			instance_id varchar(255) not null, line varchar(16) not null, role varchar(16) not null, mode varchar(16), pool_id varchar(128),
			start_at bigint not null, end_at bigint not null, price_micros bigint, price_source varchar(16) not null, priced_at bigint,
			ondemand_micros bigint, quality varchar(16) not null, cost_micros bigint not null, baseline_micros bigint not null,
			closed_by varchar(16) not null,
			foreign key (client_id) references client (id) on delete cascade)${t.end}`,
	},
	{ name: 'cost-segment-handle', ddl: () => 'create unique index cost_segment_handle on cost_segment (handle, start_at)' },
	{ name: 'cost-segment-agent', ddl: () => 'create index cost_segment_agent on cost_segment (agent_id, start_at)' },
	{ name: 'cost-segment-client', ddl: () => 'create index cost_segment_client on cost_segment (client_id, start_at)' },
	{ name: 'cost-segment-instance', ddl: () => 'create index cost_segment_instance on cost_segment (instance_id, start_at)' },
	{ name: 'cost-segment-start', ddl: () => 'create index cost_segment_start on cost_segment (start_at)' },
	{
		name: 'ledger-total',
		ddl: (t) => `create table if not exists ledger_total (
			client_id varchar(64) not null, period varchar(16) not null, baseline_micros bigint not null, primary_micros bigint not null,
			replica_micros bigint not null, zombie_micros bigint not null, measured_ms bigint not null, estimated_ms bigint not null,
			unknown_ms bigint not null, primary key (client_id, period),
			foreign key (client_id) references client (id) on delete cascade)${t.end}`,
	},
	{ name: 'ledger-total-period', ddl: () => 'create index ledger_total_period on ledger_total (period)' },
	{
		name: 'ledger-state',
		ddl: (t) => `create table if not exists ledger_state (
			id integer not null primary key, reports_at bigint not null, reports_id bigint not null, serving_since bigint not null,
			alive_at bigint not null, outage_at bigint, outage_after varchar(64))${t.end}`,
	},
];

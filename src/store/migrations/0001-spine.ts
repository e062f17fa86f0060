import type { Step } from '../migrate.ts';

/** Clients, tokens, agents, hosts, prices, commands, switches, and what is written about them. One DDL statement a step. */
export const spine: readonly Step[] = [
	{
		name: 'client',
		ddl: (t) => `create table if not exists client (
			id varchar(64) not null primary key, name varchar(255) not null unique, email varchar(255) unique, status varchar(16) not null,
			max_agents integer, max_instances integer, test_client integer not null, last_sync_at bigint, created_at bigint not null,
			check (status in ('active', 'inactive')))${t.end}`,
	},
	{
		name: 'client-token',
		ddl: (t) => `create table if not exists client_token (
			id varchar(64) not null primary key, client_id varchar(64) not null, name varchar(255) not null, hash varchar(64) not null unique,
			prefix varchar(32) not null, sealed varchar(512), created_by varchar(255) not null, created_at bigint not null, last_used_at bigint,
			expires_at bigint, revoked_at bigint, foreign key (client_id) references client (id) on delete cascade)${t.end}`,
	},
	{ name: 'client-token-client', ddl: () => 'create index client_token_client on client_token (client_id, created_at)' },
	{
		name: 'admin-token',
		ddl: (t) => `create table if not exists admin_token (
			id varchar(64) not null primary key, name varchar(255) not null, live_name varchar(255) unique, hash varchar(64) not null unique,
			prefix varchar(32) not null, scope varchar(16) not null, created_by varchar(255) not null, created_at bigint not null, last_used_at bigint,
			expires_at bigint, revoked_at bigint, check (scope in ('read', 'operate', 'admin')))${t.end}`,
	},
	{
		name: 'agent',
		ddl: (t) => `create table if not exists agent (
			id varchar(64) not null primary key, client_id varchar(64) not null, logical_agent_id varchar(255) not null, self_named integer not null,
			generation integer not null, version integer not null, status varchar(16) not null, enabled integer not null,
			auto_switch_enabled integer not null, manual_replica_enabled integer not null, auto_terminate_enabled integer not null,
			terminate_wait_seconds integer not null, min_savings_percent double precision not null, risk_threshold double precision not null,
			max_switches_per_day integer not null, max_switches_per_week integer not null, min_pool_duration_hours double precision not null,
			config_version integer not null, last_switch_at bigint, last_cleanup_at bigint, terminated_at bigint, deleted_at bigint,
			installed_at bigint not null, created_at bigint not null, updated_at bigint not null,
			foreign key (client_id) references client (id) on delete cascade,
			check (auto_switch_enabled + manual_replica_enabled < 2),
			check (status in ('online', 'offline', 'disabled', 'switching', 'error', 'deleted')))${t.end}`,
	},
	{ name: 'agent-client', ddl: () => 'create index agent_client on agent (client_id, id)' },
	{ name: 'agent-status', ddl: () => 'create index agent_status on agent (client_id, status)' },
	{
		name: 'logical-id',
		ddl: (t) => `create table if not exists logical_id (
			client_id varchar(64) not null, logical_id varchar(255) not null, agent_id varchar(64) not null, primary key (client_id, logical_id),
			foreign key (client_id) references client (id) on delete cascade,
			foreign key (agent_id) references agent (id) on delete cascade)${t.end}`,
	},
	{ name: 'logical-id-agent', ddl: () => 'create index logical_id_agent on logical_id (agent_id)' },
	{
		name: 'host',
		ddl: (t) => `create table if not exists host (
			handle varchar(64) not null primary key, client_id varchar(64) not null, agent_id varchar(64) not null, instance_id varchar(64) not null,
			role varchar(16) not null, primary_of varchar(64) unique, generation integer, instance_type varchar(64), region varchar(64), az varchar(64),
			ami_id varchar(64), hostname varchar(255), private_ip varchar(64), public_ip varchar(64), agent_version varchar(64), mode varchar(16),
			pool_id varchar(128), registered_at bigint, said_offline_at bigint, zombie_at bigint, hold integer not null, guess_command_id varchar(64),
			tentative_command_id varchar(64), takes_back integer not null, termination_attempted_at bigint, terminated_at bigint, last_switch_at bigint,
			created_at bigint not null,
			unique (client_id, instance_id),
			foreign key (client_id) references client (id) on delete cascade,
			foreign key (agent_id) references agent (id) on delete cascade,
			check (role in ('primary', 'replica', 'candidate', 'zombie', 'ended', 'terminated', 'named')),
			check ((role = 'primary' and primary_of is not null) or (role <> 'primary' and primary_of is null)))${t.end}`,
	},
	{ name: 'host-agent', ddl: () => 'create index host_agent on host (agent_id, role, created_at)' },
	{ name: 'host-client', ddl: () => 'create index host_client on host (client_id, handle)' },
	{ name: 'host-instance', ddl: () => 'create index host_instance on host (instance_id)' },
	{
		name: 'host-liveness',
		ddl: (t) => `create table if not exists host_liveness (
			handle varchar(64) not null primary key, seen_at bigint not null, heartbeat_at bigint, watch_at bigint, commands_polled_at bigint,
			replicas_polled_at bigint, terminations_polled_at bigint,
			foreign key (handle) references host (handle) on delete cascade)${t.end}`,
	},
	{ name: 'host-liveness-watch', ddl: () => 'create index host_liveness_watch on host_liveness (watch_at)' },
	{
		name: 'host-price',
		ddl: (t) => `create table if not exists host_price (
			handle varchar(64) not null primary key, spot_micros bigint, ondemand_micros bigint, reported_at bigint not null,
			foreign key (handle) references host (handle) on delete cascade)${t.end}`,
	},
	{
		name: 'pool',
		ddl: (t) => `create table if not exists pool (
			id varchar(128) not null primary key, instance_type varchar(64) not null, region varchar(64) not null, az varchar(64) not null,
			active integer not null, created_at bigint not null, unique (instance_type, region, az))${t.end}`,
	},
	{
		name: 'price-raw',
		ddl: (t) => `create table if not exists price_raw (
			id ${t.autoId}, pool_id varchar(128) not null, client_id varchar(64) not null, handle varchar(64) not null, source varchar(32) not null,
			spot_micros bigint not null, ondemand_micros bigint, observed_at bigint not null, arrived_at bigint not null,
			foreign key (pool_id) references pool (id) on delete cascade,
			foreign key (client_id) references client (id) on delete cascade)${t.end}`,
	},
	{ name: 'price-raw-arrived', ddl: () => 'create index price_raw_arrived on price_raw (arrived_at)' },
	{
		name: 'price-clean',
		ddl: (t) => `create table if not exists price_clean (
			pool_id varchar(128) not null, bucket bigint not null, spot_micros bigint not null, ondemand_micros bigint, source varchar(32) not null,
			priority integer not null, confidence double precision not null, data_source varchar(16) not null, observed_at bigint not null,
			primary key (pool_id, bucket), foreign key (pool_id) references pool (id) on delete cascade)${t.end}`,
	},
	{
		name: 'ondemand-price',
		ddl: (t) => `create table if not exists ondemand_price (
			instance_type varchar(64) not null, region varchar(64) not null, micros bigint not null, observed_at bigint not null,
			primary key (instance_type, region))${t.end}`,
	},
	{
		name: 'command',
		ddl: (t) => `create table if not exists command (
			id varchar(64) not null primary key, client_id varchar(64) not null, agent_id varchar(64) not null, handle varchar(64) not null,
			generation integer not null, command_type varchar(32) not null, status varchar(16) not null, outcome varchar(64), message text,
			open_switch_of varchar(64) unique, awaits_machine integer not null, instance_id varchar(64) not null, instance_type varchar(64),
			region varchar(64), target_mode varchar(16), target_pool_id varchar(128), target_az varchar(64), new_instance_id varchar(64),
			new_handle varchar(64), priority integer not null, terminate_wait_seconds integer not null, trigger_type varchar(32) not null,
			created_by varchar(255) not null, reason text, request_id varchar(255), claim_id varchar(64) unique, created_at bigint not null,
			expires_at bigint not null, claimed_at bigint, lease_until bigint, launched_at bigint, reported_at bigint, acknowledged_at bigint,
			acknowledged_success integer, completed_at bigint, due_at bigint,
			foreign key (client_id) references client (id) on delete cascade,
			foreign key (agent_id) references agent (id) on delete cascade,
			foreign key (handle) references host (handle) on delete cascade,
			check (status in ('pending', 'claimed', 'completed', 'failed', 'expired', 'cancelled')),
			check (target_mode is null or target_mode <> 'spot' or target_pool_id is not null))${t.end}`,
	},
	{ name: 'command-agent', ddl: () => 'create index command_agent on command (agent_id, status)' },
	{ name: 'command-client', ddl: () => 'create index command_client on command (client_id, id)' },
	{ name: 'command-awaits', ddl: () => 'create index command_awaits on command (client_id, awaits_machine, lease_until)' },
	{ name: 'command-handle', ddl: () => 'create index command_handle on command (handle, claimed_at)' },
	{ name: 'command-due', ddl: () => 'create index command_due on command (due_at)' },
	{
		name: 'switch-record',
		ddl: (t) => `create table if not exists switch_record (
			id varchar(64) not null primary key, client_id varchar(64) not null, agent_id varchar(64) not null, command_id varchar(64),
			evidence varchar(32) not null, success integer not null, old_instance_id varchar(64), new_instance_id varchar(64), old_mode varchar(16),
			new_mode varchar(16), old_pool_id varchar(128), new_pool_id varchar(128), old_spot_micros bigint, new_spot_micros bigint,
			ondemand_micros bigint, impact_micros bigint, trigger_type varchar(32) not null, initiated_at bigint, launched_at bigint, ready_at bigint,
			traffic_at bigint, old_terminated_at bigint, ami_created_at bigint, duration_ms bigint, downtime_ms bigint, snapshot_id varchar(64),
			error_message text, generation integer not null, created_at bigint not null,
			foreign key (client_id) references client (id) on delete cascade,
			foreign key (agent_id) references agent (id) on delete cascade)${t.end}`,
	},
	{ name: 'switch-machines', ddl: () => 'create index switch_machines on switch_record (agent_id, new_instance_id)' },
	{ name: 'switch-client', ddl: () => 'create index switch_client on switch_record (client_id, id)' },
	{
		name: 'event',
		ddl: (t) => `create table if not exists event (
			id ${t.autoId}, type varchar(64) not null, severity varchar(16) not null, client_id varchar(64), agent_id varchar(64),
			instance_id varchar(64), message text not null, metadata text, request_id varchar(255), created_at bigint not null,
			foreign key (client_id) references client (id) on delete cascade,
			foreign key (agent_id) references agent (id) on delete cascade)${t.end}`,
	},
	{ name: 'event-client', ddl: () => 'create index event_client on event (client_id, id)' },
	{ name: 'event-agent', ddl: () => 'create index event_agent on event (agent_id, id)' },
	{
		name: 'notification',
		ddl: (t) => `create table if not exists notification (
			id varchar(64) not null primary key, client_id varchar(64) not null, agent_id varchar(64), type varchar(64) not null,
			title varchar(255) not null, message text not null, severity varchar(16) not null, is_read integer not null, count integer not null,
			created_at bigint not null, last_at bigint not null,
			foreign key (client_id) references client (id) on delete cascade,
			foreign key (agent_id) references agent (id) on delete cascade)${t.end}`,
	},
	{ name: 'notification-client', ddl: () => 'create index notification_client on notification (client_id, last_at, id)' },
	{ name: 'notification-repeat', ddl: () => 'create index notification_repeat on notification (agent_id, type, last_at)' },
	{
		name: 'audit',
		ddl: (t) => `create table if not exists audit (
			id ${t.autoId}, at bigint not null, actor varchar(255) not null, action varchar(64) not null, entity varchar(32) not null,
			entity_id varchar(255) not null, client_id varchar(64), before_json text, after_json text, request_id varchar(255))${t.end}`,
	},
	{ name: 'audit-entity', ddl: () => 'create index audit_entity on audit (entity, entity_id, id)' },
	{
		name: 'idempotency',
		ddl: (t) => `create table if not exists idempotency (
			key_hash varchar(64) not null primary key, body_hash varchar(64) not null, status integer not null, answer text not null,
			created_at bigint not null)${t.end}`,
	},
	{ name: 'idempotency-created', ddl: () => 'create index idempotency_created on idempotency (created_at)' },
	{
		name: 'cleanup-log',
		ddl: (t) => `create table if not exists cleanup_log (
			id ${t.autoId}, client_id varchar(64) not null, agent_id varchar(64) not null, handle varchar(64) not null,
			deleted_snapshots integer not null, deleted_amis integer not null, failed integer not null, reported_at bigint not null,
			foreign key (client_id) references client (id) on delete cascade,
			foreign key (agent_id) references agent (id) on delete cascade,
			foreign key (handle) references host (handle) on delete cascade)${t.end}`,
	},
	{ name: 'cleanup-log-handle', ddl: () => 'create index cleanup_log_handle on cleanup_log (handle)' },
	{ name: 'cleanup-log-agent', ddl: () => 'create index cleanup_log_agent on cleanup_log (agent_id)' },
	{ name: 'cleanup-log-client', ddl: () => 'create index cleanup_log_client on cleanup_log (client_id)' },
	{
		name: 'service-clock',
		ddl: (t) => `create table if not exists service_clock (
			id integer not null primary key, serving_since bigint not null, alive_at bigint not null)${t.end}`,
	},
	{
		name: 'change-log',
		ddl: (t) => `create table if not exists change_log (
			id ${t.autoId}, origin varchar(64) not null, topic varchar(16) not null, ${t.quote('key')} varchar(255) not null, at bigint not null)${t.end}`,
	},
	{ name: 'change-log-at', ddl: () => 'create index change_log_at on change_log (at)' },
];

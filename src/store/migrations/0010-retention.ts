import type { Step } from '../migrate.ts';

/**
 * What retention finds old rows by, and who is still named by a machine. Each index ends in the key, so that a run goes on where it
 * stopped without sorting. Every step can be run again.
 */
export const retention: readonly Step[] = [
	{
		name: 'retention-rule',
		ddl: (t) => `create table if not exists retention_rule (
			name varchar(64) not null primary key, requested_at bigint, started_at bigint, ended_at bigint, deleted bigint not null,
			complete integer not null, total bigint not null)${t.end}`,
	},
	{ name: 'price-clean-bucket', ddl: () => 'create index price_clean_bucket on price_clean (bucket, pool_id)' },
	{ name: 'command-created', ddl: () => 'create index command_created on command (created_at, id)' },
	{ name: 'replica-created', ddl: () => 'create index replica_created on replica (created_at, id)' },
	{ name: 'host-terminated', ddl: () => 'create index host_terminated on host (terminated_at, handle)' },
	{ name: 'host-guess-command', ddl: () => 'create index host_guess_command on host (guess_command_id)' },
	{ name: 'host-guess-replica', ddl: () => 'create index host_guess_replica on host (guess_replica_id)' },
	{ name: 'host-tentative-command', ddl: () => 'create index host_tentative_command on host (tentative_command_id)' },
	{ name: 'host-tentative-replica', ddl: () => 'create index host_tentative_replica on host (tentative_replica_id)' },
	{ name: 'event-created', ddl: () => 'create index event_created on event (created_at, id)' },
	{ name: 'notification-read', ddl: () => 'create index notification_read on notification (is_read, last_at, id)' },
	{ name: 'audit-at', ddl: () => 'create index audit_at on audit (at, id)' },
	{ name: 'cleanup-log-reported', ddl: () => 'create index cleanup_log_reported on cleanup_log (reported_at, id)' },
	{ name: 'ledger-fact-at', ddl: () => 'create index ledger_fact_at on ledger_fact (at, id)' },
];

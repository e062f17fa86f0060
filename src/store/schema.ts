import type { Generated } from 'kysely';
import type { CostSegmentTable, LedgerFactTable, LedgerHostTable, LedgerStateTable, LedgerTotalTable } from './tables/ledger.ts';
import type { ClientDayTable, ClientEndedTable, FleetDayTable, SwitchFailureTable, SwitchTallyTable } from './tables/overview.ts';
import type { PriceAlertTable, PriceHourStateTable, PriceHourTable, PriceWatchTable } from './tables/prices.ts';
import type { RetentionRuleTable } from './tables/retention.ts';
import type { WebhookDeliveryTable, WebhookTable } from './tables/webhooks.ts';

/**
 * Every table of the product, once, as types: a statement that names a column which does not exist does not compile (D-39).
 * Ids are text made by us, instants UTC milliseconds, money micro-dollars (USD x 1,000,000), switches 0 or 1, JSON text.
 */
export type Tables = {
	client: ClientTable;
	client_token: ClientTokenTable;
	admin_token: AdminTokenTable;
	agent: AgentTable;
	logical_id: LogicalIdTable;
	host: HostTable;
	host_liveness: HostLivenessTable;
	host_price: HostPriceTable;
	pool: PoolTable;
	client_pool: ClientPoolTable;
	price_report: PriceReportTable;
	price_clean: PriceCleanTable;
	ondemand_price: OnDemandPriceTable;
	command: CommandTable;
	replica: ReplicaTable;
	emergency: EmergencyTable;
	job: JobTable;
	switch_record: SwitchTable;
	event: EventTable;
	notification: NotificationTable;
	webhook: WebhookTable;
	webhook_delivery: WebhookDeliveryTable;
	audit: AuditTable;
	idempotency: IdempotencyTable;
	cleanup_log: CleanupLogTable;
	service_clock: ServiceClockTable;
	service_gap: ServiceGapTable;
	change_log: ChangeLogTable;
	ledger_fact: LedgerFactTable;
	ledger_host: LedgerHostTable;
	ledger_state: LedgerStateTable;
	ledger_total: LedgerTotalTable;
	cost_segment: CostSegmentTable;
	switch_tally: SwitchTallyTable;
	switch_failure: SwitchFailureTable;
	fleet_day: FleetDayTable;
	client_day: ClientDayTable;
	client_ended: ClientEndedTable;
	retention_rule: RetentionRuleTable;
	price_hour: PriceHourTable;
	price_hour_state: PriceHourStateTable;
	price_alert: PriceAlertTable;
	price_watch: PriceWatchTable;
};

export type Flag = 0 | 1;

export type ClientTable = {
	id: string;
	name: string;
	/** In lower case, so that it is unique whatever the letters. */
	email: string | null;
	status: 'active' | 'inactive';
	max_agents: number | null;
	max_instances: number | null;
	test_client: Flag;
	last_sync_at: number | null;
	created_at: number;
};

export type ClientTokenTable = {
	id: string;
	client_id: string;
	name: string;
	hash: string;
	prefix: string;
	/** AES-256-GCM ciphertext, only when `security.tokenRevealKey` was set at creation. */
	sealed: string | null;
	created_by: string;
	created_at: number;
	last_used_at: number | null;
	expires_at: number | null;
	revoked_at: number | null;
};

export type AdminScope = 'read' | 'operate' | 'admin';

export type AdminTokenTable = {
	id: string;
	name: string;
	/** The name while the token is not revoked, else null: names are unique among live tokens. */
	live_name: string | null;
	hash: string;
	prefix: string;
	scope: AdminScope;
	created_by: string;
	created_at: number;
	last_used_at: number | null;
	expires_at: number | null;
	revoked_at: number | null;
};

export type AgentStatus = 'online' | 'offline' | 'disabled' | 'switching' | 'error' | 'deleted';
export type Mode = 'spot' | 'ondemand';

export type AgentTable = {
	id: string;
	client_id: string;
	/** The logical id it first registered with; aliases are in logical_id. */
	logical_agent_id: string;
	self_named: Flag;
	/** Raised at every change of primary: the fencing number of claims (identity.md section 2). */
	generation: number;
	/** Raised by every write to the row: the optimistic lock. */
	version: number;
	status: AgentStatus;
	enabled: Flag;
	auto_switch_enabled: Flag;
	manual_replica_enabled: Flag;
	auto_terminate_enabled: Flag;
	terminate_wait_seconds: number;
	min_savings_percent: number;
	risk_threshold: number;
	max_switches_per_day: number;
	max_switches_per_week: number;
	min_pool_duration_hours: number;
	config_version: number;
	last_switch_at: number | null;
	last_cleanup_at: number | null;
	/** When the primary last said that it ends; cleared by the next sign of life. */
	terminated_at: number | null;
	/** When the coordinator must look at it; null while nothing is due. */
	attention_at: number | null;
	/** When it was last enabled after it had been disabled or deleted; null while that never happened. */
	enabled_at: number | null;
	/** What its deletion turned off, as JSON, for {@link AgentTable.deleted_at} to be undone; null while it is not deleted. */
	kept_settings: string | null;
	deleted_at: number | null;
	installed_at: number;
	created_at: number;
	updated_at: number;
};

export type LogicalIdTable = { client_id: string; logical_id: string; agent_id: string };

export type Role = 'primary' | 'replica' | 'candidate' | 'zombie' | 'ended' | 'terminated' | 'named';

export type HostTable = {
	handle: string;
	client_id: string;
	agent_id: string;
	instance_id: string;
	role: Role;
	/** The agent's id while this host is its primary, else null; unique: the database holds "one primary per agent" (decided 7). */
	primary_of: string | null;
	/** The generation at which it became primary. */
	generation: number | null;
	instance_type: string | null;
	region: string | null;
	az: string | null;
	ami_id: string | null;
	hostname: string | null;
	private_ip: string | null;
	public_ip: string | null;
	agent_version: string | null;
	mode: Mode | null;
	pool_id: string | null;
	/** Null until the machine's own agent has registered. */
	registered_at: number | null;
	said_offline_at: number | null;
	zombie_at: number | null;
	/** 1: on no terminate list until an operator, or a report, says so. */
	hold: Flag;
	/** On no terminate list before this: AWS ends a machine it has taken back by itself, and does not bill its first hour. */
	hold_until: number | null;
	/** The command whose launch this machine was taken for without a report (R4). */
	guess_command_id: string | null;
	/** The replica whose launch this machine was taken for without a PUT (R5). */
	guess_replica_id: string | null;
	/** The command a candidate may belong to when several fit (R6). */
	tentative_command_id: string | null;
	/** The same when it may belong to a replica. */
	tentative_replica_id: string | null;
	/** 1: a disputed predecessor that takes the agent back when the guessed primary falls silent (T9). */
	takes_back: Flag;
	termination_attempted_at: number | null;
	/** When a person was told that nobody ends it; null while that is not so. */
	ending_told_at: number | null;
	terminated_at: number | null;
	last_switch_at: number | null;
	created_at: number;
};

/** What changes with every call, apart from the host row so that routine traffic never touches a role. */
export type HostLivenessTable = {
	handle: string;
	seen_at: number;
	heartbeat_at: number | null;
	/** = seen_at while this host is the primary of an agent that counts as alive, else null: the offline sweep reads only this. */
	watch_at: number | null;
	commands_polled_at: number | null;
	replicas_polled_at: number | null;
	terminations_polled_at: number | null;
};

export type HostPriceTable = { handle: string; spot_micros: number | null; ondemand_micros: number | null; reported_at: number };

/** Pool id is `<instance_type>.<az>`; the zone is what follows the last dot. */
export type PoolTable = { id: string; instance_type: string; region: string; az: string; active: Flag; created_at: number };

/** Which pools the agents of a client have reported prices of: what others report of made-up zones is no choice for it. */
export type ClientPoolTable = { client_id: string; pool_id: string };

export type PriceSource = 'primary' | 'replica-automatic' | 'replica-manual' | 'interpolated';

/** The raw prices: what a host reported that is a price. The pools in `points` have no foreign key; they are there before the report is. */
export type PriceReportTable = {
	id: Generated<number>;
	client_id: string;
	handle: string;
	source: PriceSource;
	/** The type of the reporting host. */
	instance_type: string | null;
	/** What that type costs on demand in the host's region. */
	ondemand_micros: number | null;
	/** What the reporting host itself costs as spot. */
	current_micros: number | null;
	/** JSON: micro-dollars per hour by pool id. */
	points: string;
	observed_at: number;
	arrived_at: number;
};

/** One row per pool and 5-minute bucket (UTC milliseconds, floored). */
export type PriceCleanTable = {
	pool_id: string;
	bucket: number;
	spot_micros: number;
	ondemand_micros: number | null;
	source: PriceSource;
	/** primary 4, replica-automatic 3, replica-manual 2, interpolated 1. */
	priority: number;
	confidence: number;
	data_source: 'measured' | 'interpolated';
	observed_at: number;
};

export type OnDemandPriceTable = { instance_type: string; region: string; micros: number; observed_at: number };

export type CommandStatus = 'pending' | 'claimed' | 'completed' | 'failed' | 'expired' | 'cancelled';

export type CommandTable = {
	id: string;
	client_id: string;
	agent_id: string;
	/** The host it is for; only this handle, as primary of this generation, can claim it. */
	handle: string;
	generation: number;
	command_type: 'switch' | 'create_replica';
	status: CommandStatus;
	outcome: string | null;
	message: string | null;
	/** The agent's id while a switch is pending or claimed, else null; unique: one open switch per agent. */
	open_switch_of: string | null;
	/** 1 while the machine it may have launched is not known: the order still fits a registration (identity.md section 3). */
	awaits_machine: Flag;
	instance_id: string;
	instance_type: string | null;
	region: string | null;
	target_mode: Mode | null;
	target_pool_id: string | null;
	target_az: string | null;
	new_instance_id: string | null;
	new_handle: string | null;
	priority: number;
	terminate_wait_seconds: number;
	trigger_type: string;
	created_by: string;
	reason: string | null;
	request_id: string | null;
	claim_id: string | null;
	created_at: number;
	expires_at: number;
	claimed_at: number | null;
	lease_until: number | null;
	launched_at: number | null;
	reported_at: number | null;
	acknowledged_at: number | null;
	acknowledged_success: Flag | null;
	completed_at: number | null;
	/** When the sweep must look at it: expires_at while pending, lease_until while claimed, else null. */
	due_at: number | null;
};

export type ReplicaStatus = 'launching' | 'syncing' | 'ready' | 'promoted' | 'terminated' | 'failed';
export type ReplicaType = 'manual' | 'automatic-rebalance' | 'automatic-termination';
export type SyncStatus = 'initializing' | 'syncing' | 'synced' | 'out-of-sync';

/** A standby machine of an agent, from the order to launch it to its confirmed end. */
export type ReplicaTable = {
	id: string;
	client_id: string;
	agent_id: string;
	/** The agent's id while launching, syncing or ready, else null; unique: the live-replica slot. */
	live_of: string | null;
	status: ReplicaStatus;
	type: ReplicaType;
	created_by: string;
	reason: string | null;
	emergency_id: string | null;
	/** The agent's generation when it was ordered. */
	generation: number;
	pool_id: string | null;
	instance_type: string | null;
	region: string | null;
	az: string | null;
	mode: Mode;
	/** The host row of its machine; null while nobody has named one. */
	handle: string | null;
	instance_id: string | null;
	/** 1: its machine registered and fitted, but no PUT has named it (R5). */
	guess: Flag;
	parent_instance_id: string | null;
	served_handle: string | null;
	served_at: number | null;
	served_count: number;
	/** Which handing-out it was: the answer that has it is the only one. */
	serve_id: string | null;
	/** Until then the order is not served again, and fits a machine that registers. */
	lease_until: number | null;
	/** 1 while the machine it may have launched is not known (as in command). */
	awaits_machine: Flag;
	/** 1: another promotion overtook it after it was served (a void order, identity.md R7). */
	void: Flag;
	sync_status: SyncStatus;
	sync_latency_ms: number | null;
	state_transfer_progress: number;
	last_sync_at: number | null;
	/** Price of its pool when it was ordered, micro-dollars per hour; null when none was known. */
	hourly_micros: number | null;
	tags: string | null;
	error_message: string | null;
	created_at: number;
	launched_at: number | null;
	sync_started_at: number | null;
	sync_completed_at: number | null;
	ready_at: number | null;
	promoted_at: number | null;
	/** When it was booked as terminated or failed. */
	ended_at: number | null;
	/** When somebody confirmed that its machine is gone. */
	confirmed_at: number | null;
};

export type EmergencyKind = 'termination' | 'rebalance' | 'silent-primary';
export type EmergencyStep = 'plan' | 'launch' | 'sync' | 'standby' | 'watch' | 'confirm' | 'ended';

/** One notice about one machine of an agent, from the signal to the confirmed primary. At most one is open per agent. */
export type EmergencyTable = {
	id: string;
	client_id: string;
	agent_id: string;
	/** The agent's id until it has ended, else null; unique. */
	open_of: string | null;
	kind: EmergencyKind;
	/** The host that is being taken back. */
	handle: string;
	instance_id: string;
	pool_id: string | null;
	/** Kind, machine and the emergency's own id; unique. Which notices are the same is decided in the core, by time and machine. */
	notice_key: string;
	notice_at: number | null;
	/** When AWS takes the machine back; null where the signal names no time. */
	deadline_at: number | null;
	reports: number;
	/** 1: this host repeats its signal while it stands (v4), so that its silence means something. */
	repeats: Flag;
	step: EmergencyStep;
	step_at: number;
	/** Its named end: failed-over, unconfirmed, stood-by, recovered, escalated, overtaken, told, deleted. */
	outcome: string | null;
	message: string | null;
	/** 1: a person was told that nothing more can be done by itself. */
	told: Flag;
	/** JSON: what was decided, when, why, and what was rejected. */
	plan: string;
	/** JSON: zones and pool that the signal asked for. */
	wishes: string | null;
	replica_id: string | null;
	new_handle: string | null;
	new_instance_id: string | null;
	signal_at: number;
	received_at: number;
	planned_at: number | null;
	launched_at: number | null;
	ready_at: number | null;
	promoted_at: number | null;
	/** First heartbeat of the new primary after its promotion. */
	confirmed_at: number | null;
	ended_at: number | null;
	last_report_at: number;
};

/** A background job: its lease (owner and fencing token, on the database's clock) and what became of its last run. */
export type JobTable = {
	name: string;
	owner: string | null;
	token: number;
	leased_until: number;
	paused: Flag;
	/** An operator asked for a run that has not begun yet. */
	requested_at: number | null;
	started_at: number | null;
	ended_at: number | null;
	result: 'ok' | 'failed' | null;
	changed: number | null;
	error: string | null;
	duration_ms: number | null;
	due_at: number | null;
	runs: number;
};

export type SwitchTable = {
	id: string;
	client_id: string;
	agent_id: string;
	command_id: string | null;
	/** report, registration, takeover, correction, operator … what proved it. */
	evidence: string;
	success: Flag;
	old_instance_id: string | null;
	new_instance_id: string | null;
	old_mode: Mode | null;
	new_mode: Mode | null;
	old_pool_id: string | null;
	new_pool_id: string | null;
	old_spot_micros: number | null;
	new_spot_micros: number | null;
	ondemand_micros: number | null;
	/** Old price minus new price in micro-dollars per hour; null while a price is unknown. */
	impact_micros: number | null;
	trigger_type: string;
	initiated_at: number | null;
	launched_at: number | null;
	ready_at: number | null;
	traffic_at: number | null;
	old_terminated_at: number | null;
	ami_created_at: number | null;
	duration_ms: number | null;
	downtime_ms: number | null;
	snapshot_id: string | null;
	error_message: string | null;
	generation: number;
	created_at: number;
};

export type Severity = 'info' | 'warning' | 'error' | 'critical';

export type EventTable = {
	id: Generated<number>;
	type: string;
	severity: Severity;
	client_id: string | null;
	agent_id: string | null;
	instance_id: string | null;
	message: string;
	metadata: string | null;
	request_id: string | null;
	created_at: number;
};

export type NotificationTable = {
	id: string;
	client_id: string;
	agent_id: string | null;
	type: string;
	title: string;
	message: string;
	severity: Severity;
	is_read: Flag;
	/** How often it happened within ten minutes (spec section 13 "Ours"). */
	count: number;
	created_at: number;
	last_at: number;
};

/** No foreign keys: what was done outlives whom it was done to. */
export type AuditTable = {
	id: Generated<number>;
	at: number;
	actor: string;
	action: string;
	entity: string;
	entity_id: string;
	client_id: string | null;
	before_json: string | null;
	after_json: string | null;
	request_id: string | null;
};

export type IdempotencyTable = { key_hash: string; body_hash: string; status: number; answer: string; created_at: number };

export type CleanupLogTable = {
	id: Generated<number>;
	client_id: string;
	agent_id: string;
	handle: string;
	deleted_snapshots: number;
	deleted_amis: number;
	failed: number;
	reported_at: number;
};

/** One row: since when somebody has been listening without a gap. Silence before `serving_since` proves nothing. */
export type ServiceClockTable = { id: number; serving_since: number; alive_at: number };

/** A time in which nobody listened: from the last sign of any daemon to the next. Deleted once the books hold it. */
export type ServiceGapTable = { id: Generated<number>; from_at: number; until_at: number };

/** What other daemons must forget: written by every transaction that changes something they cache. */
export type ChangeLogTable = {
	id: Generated<number>;
	origin: string;
	topic: 'agent' | 'token' | 'client' | 'webhook';
	key: string;
	at: number;
};

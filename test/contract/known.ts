/** Routes of the contract that are not declared yet. */
export const MISSING: readonly string[] = [];

/** Where a declared answer differs from the word of the contract, and why. */
export const DIFFERENT: Readonly<Record<string, string>> = {
	'#2 email may be null, not string': 'a client may have none; the contract calls the field optional',
	'#18 email may be null, not string': 'a client may have none; the contract calls the field optional',
	'#20 hostname may be null, not string': 'a machine need not have said one; optional in the contract',
	'#27 az may be null, not string': 'a machine whose metadata service did not answer has none, and none is invented',
	'#27 region may be null, not string': 'a machine whose metadata service did not answer has none, and none is invented',
	'#27 type may be null, not string': 'a machine whose metadata service did not answer has none, and none is invented',
	'#32 command_id may be null, not string': 'null where nothing was queued: success false, or dry_run',
	'#34 replica.sync_latency_ms may be number, not integer': 'agents report fractions of a millisecond',
	'#36 fromMode may be null, not string': 'unknown where the report of a switch did not say it',
	'#36 instanceId may be null, not string': 'alias of newInstanceId, which may be null',
	'#36 toMode may be null, not string': 'unknown where the report of a switch did not say it',
	'#40 config.min_pool_duration_hours may be number, not integer': 'half an hour can be set; agents do not read it',
	'#42 min_pool_duration_hours may be number, not integer': 'half an hour can be set; agents do not read it',
	'#46 commands[].target_mode may be null, not string': 'null for create_replica, as the note of the contract says',
	'#49 savings_impact may be null, not number': 'unknown while one of the two prices is',
	'#53 replica_status may be null, not string': 'null without a replica; optional in the contract',
	'#54 instance_id may be null, not string': 'null with success false: the contract asks for that answer and names no other fields of it',
	'#54 pool may be null, not object': 'null with success false: the contract asks for that answer and names no other fields of it',
	'#54 replica_id may be null, not string': 'null with success false: the contract asks for that answer and names no other fields of it',
	'#54 replica_instance_id may be null, not string':
		'null with success false: the contract asks for that answer and names no other fields of it',
	'#55 failover_time_ms may be null, not integer':
		'null with success false: the contract asks for that answer and names no other fields of it',
	'#55 new_instance_id may be null, not string':
		'null with success false: the contract asks for that answer and names no other fields of it',
	'#55 replica_id may be null, not string': 'null with success false: the contract asks for that answer and names no other fields of it',
	'#58 replicas[].pool may be null, not object':
		'a replica the agent registered itself may stand in no known pool; launch orders always have one',
	'#58 replicas[].sync_latency_ms may be number, not integer': 'agents report fractions of a millisecond',
	'#59 pool may be null, not object': 'a replica the agent registered itself may stand in no known pool',
	'#62 old_instance_id may be null, not string': 'the agent may have had no primary',
	'#33 instance_type may be absent': 'several types when no agent is named: left out rather than one of them said',
	'#33 region may be absent': 'as its instance_type',
	'#45 command_id may be null, not string': 'null with success false: the agent is there already, as the contract asks',
	'#45 target_pool_id may be null, not string': 'on demand has no pool',
	'#X31 command_id may be null, not string': 'null with success false: the agent is there already',
	'#X9 simulation.estimated_downtime_seconds may be null, not integer': 'unknown without a measured switch',
	'#X9 simulation.monthly_savings may be null, not number': 'unknown while one of the two prices is',
};

/** Fields the contract calls optional that are not answered: nothing is to be said in them, or no client reads them. */
export const NOT_DECLARED: readonly string[] = [
	'#41 commands_pending',
	'#41 new_config_version',
	'#53 target_mode',
	'#53 target_pool_id',
	'#53 target_pool_name',
	'#X20 status',
];

/** Fields of requests that the contract lists and nobody reads; they are tolerated like any unknown key. */
export const IGNORED: readonly string[] = [
	'#40 client_token',
	'#40 pool_id',
	'#41 az',
	'#41 current_pool',
	'#41 current_pool_id',
	'#41 instance_type',
	'#41 metrics',
	'#41 mode',
	'#41 monitored_instances',
	'#41 ondemand_price',
	'#41 spot_price',
	'#41 timestamp',
	'#43 current_state',
	'#43 group_config',
	'#43 instance_features',
	'#43 metrics',
	'#43 pricing_data',
	'#43 pricing_windows',
	'#47 duration_seconds',
	'#47 execution_result',
	'#47 execution_time',
	'#47 result',
	'#48 instance_id',
	'#48 pricing.cheapest_pool.pool_id',
	'#48 pricing.cheapest_pool.price',
	'#49 snapshot.ami_name',
	'#51 amis.cutoff_date',
	'#51 amis.error',
	'#51 amis.type',
	'#51 cost_impact',
	'#51 instances_cleaned',
	'#51 resources_freed',
	'#51 snapshots.cutoff_date',
	'#51 snapshots.error',
	'#51 snapshots.failed[].error',
	'#51 snapshots.failed[].id',
	'#51 snapshots.type',
	'#52 termination_type',
	'#59 sync_data',
	'#60 metadata',
	// Read with the credential, before the operation is (daemon/auth.ts).
	'#X13 token',
];

/** Lists that are empty on a fleet that has lived: nothing of the kind exists before somebody makes it. */
export const EMPTY_LISTS: readonly string[] = ['16'];

/** Routes without a documented refusal that answer 404 while a client has no agent, as #33 is documented to. */
export const WANT_AN_AGENT: readonly string[] = ['X33', 'X34'];

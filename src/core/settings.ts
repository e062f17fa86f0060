import type { z } from 'zod';
import type { AgentConfig } from '../contract/hosts.ts';
import type { View } from '../store/host-view.ts';
import type { Role } from '../store/schema.ts';

type Settings = Pick<
	View,
	| 'enabled'
	| 'auto_switch_enabled'
	| 'auto_terminate_enabled'
	| 'manual_replica_enabled'
	| 'terminate_wait_seconds'
	| 'min_savings_percent'
	| 'risk_threshold'
	| 'max_switches_per_day'
	| 'max_switches_per_week'
	| 'min_pool_duration_hours'
	| 'config_version'
	| 'status'
>;

/** What a new agent starts with (spec section 1, agent_config; `terminateWaitSeconds` comes from the configuration). */
export const defaultSettings = (terminateWaitSeconds: number) =>
	({
		enabled: 1,
		auto_switch_enabled: 1,
		manual_replica_enabled: 0,
		auto_terminate_enabled: 1,
		terminate_wait_seconds: terminateWaitSeconds,
		min_savings_percent: 15,
		risk_threshold: 0.3,
		max_switches_per_day: 3,
		max_switches_per_week: 10,
		min_pool_duration_hours: 2,
		config_version: 1,
	}) as const;

/** The settings as one host must apply them: only the primary of a living agent is ever enabled (identity.md section 5, decided 8 and 11). */
export const configFor = (agent: Settings, role: Role): z.output<typeof AgentConfig> => ({
	enabled: role === 'primary' && agent.enabled === 1 && agent.status !== 'deleted',
	auto_switch_enabled: agent.auto_switch_enabled === 1,
	auto_terminate_enabled: agent.auto_terminate_enabled === 1,
	manual_replica_enabled: agent.manual_replica_enabled === 1,
	terminate_wait_seconds: agent.terminate_wait_seconds,
	replica_enabled: agent.manual_replica_enabled === 1,
	replica_count: agent.manual_replica_enabled === 1 ? 1 : 0,
	min_savings_percent: agent.min_savings_percent,
	risk_threshold: agent.risk_threshold,
	max_switches_per_day: agent.max_switches_per_day,
	max_switches_per_week: agent.max_switches_per_week,
	min_pool_duration_hours: agent.min_pool_duration_hours,
	config_version: agent.config_version,
});

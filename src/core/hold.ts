import { isoOr } from '../contract/instant.ts';
import type { Host } from '../store/hosts.ts';
import { FIRST_HOUR_MS } from './promotion.ts';

/** Whether a machine is kept off the terminate lists, until when (null while nobody knows), and why. */
export const heldOf = (host: Pick<Host, 'role' | 'hold' | 'hold_until' | 'created_at' | 'instance_id'>, now: number) => {
	const { role, instance_id } = host;
	const until = (role === 'zombie' || role === 'ended') && (host.hold_until ?? 0) > now ? host.hold_until : null;
	if (host.hold === 1)
		return {
			hold: true,
			holdUntil: null,
			holdReason: role === 'zombie' ? `it is kept until: spotctl instances release ${instance_id}` : null,
		};
	if (until === null) return { hold: false, holdUntil: null, holdReason: null };
	const firstHour = until === host.created_at + FIRST_HOUR_MS;
	return {
		hold: true,
		holdUntil: isoOr(until),
		holdReason: firstHour
			? 'AWS signalled it in its first hour, which is not billed when AWS ends the machine'
			: 'AWS takes it back and ends it itself',
	};
};

import { SpotError } from '../errors.ts';
import { type Host, hostByInstance, hostsByInstance } from '../store/hosts.ts';
import type { Db } from '../store/statement.ts';
import { type Caller, clientScope } from './caller.ts';

/**
 * The machine an operator means by its instance id: within the caller's client, or the one an admin names. Errors: 404 (also for
 * another client's machine), 409 AMBIGUOUS_INSTANCE when several clients have a machine of this id and none was named.
 */
export const instanceOf = async (db: Db, instanceId: string, clientId: string | null | undefined, caller: Caller): Promise<Host> => {
	const scope = clientScope(caller) ?? clientId ?? null;
	const found =
		scope === null
			? await hostsByInstance.all(db, { instance_id: instanceId })
			: await hostByInstance.all(db, { client_id: scope, instance_id: instanceId });
	const [only] = found;
	if (only === undefined) {
		throw new SpotError('missing', 'NOT_FOUND', `no instance "${instanceId.slice(0, 80)}"`, { hint: 'see: spotctl instances list' });
	}
	if (found.length > 1) {
		throw new SpotError('conflict', 'AMBIGUOUS_INSTANCE', `${found.length} clients have an instance "${instanceId}"`, {
			hint: 'say which: --client CLIENT (client_id=… on the wire)',
			extras: { client_ids: found.map((host) => host.client_id) },
		});
	}
	return only;
};

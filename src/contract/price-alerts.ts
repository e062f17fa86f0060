import { z } from 'zod';
import { id, isoOrNull, isoTime, optionalText, paging, price, success, text, textOrNull } from './fields.ts';
import { operation } from './operation.ts';

const Alert = z.object({
	alert_id: z.number().int(),
	alert_type: z.string(),
	direction: z.enum(['above', 'below']),
	threshold: z.number(),
	pool_id: textOrNull,
	enabled: z.boolean(),
	notification_channels: z.array(z.string()),
	created_at: isoTime,
});

/** X11 */
export const listPriceAlerts = operation({
	id: 'price_alerts.list',
	method: 'GET',
	path: '/api/client/{client_id}/pricing-alerts',
	access: 'client',
	summary: 'Price alerts of a client, newest first',
	input: z.object({ client_id: id, ...paging, limit: z.coerce.number().int().min(1).max(1000).default(1000) }),
	output: Alert.extend({ last_fired_at: isoOrNull }),
	rendering: 'list',
});

/**
 * X12. `alert_type` says the direction: price_above (also above, price_threshold, price_spike; the default) or price_below (also below,
 * price_drop). Without a pool it is about every pool that the client's agents report. Errors: 400 for a pool nobody knows, 404 for a client
 * nobody knows, 409 TOO_MANY_ALERTS.
 */
export const createPriceAlert = operation({
	id: 'price_alerts.create',
	method: 'POST',
	path: '/api/client/{client_id}/pricing-alerts',
	access: 'client',
	summary: 'Be notified when a price passes a threshold',
	input: z.object({
		client_id: id,
		alert_type: optionalText(64),
		threshold: price.nullish(),
		threshold_price: price.nullish(),
		pool_id: optionalText(128),
		notification_channels: z.array(text(64)).max(10).nullish(),
		enabled: z.boolean().nullish(),
	}),
	output: Alert.extend({ success: z.boolean(), message: z.string() }),
	status: 201,
});

const one = { client_id: id, alert_id: z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER) };

/** Turns an alert on or off; one that is turned on begins with the side the price is on then. Errors: 404. */
export const setPriceAlert = operation({
	id: 'price_alerts.set',
	method: 'PUT',
	path: '/api/client/{client_id}/pricing-alerts/{alert_id}',
	access: 'client',
	summary: 'Enable or disable a price alert',
	input: z.object({ ...one, enabled: z.boolean() }),
	output: Alert.extend({ success: z.boolean() }),
});

/** Errors: 404. */
export const deletePriceAlert = operation({
	id: 'price_alerts.delete',
	method: 'DELETE',
	path: '/api/client/{client_id}/pricing-alerts/{alert_id}',
	access: 'client',
	summary: 'Delete a price alert',
	input: z.object(one),
	output: success.extend({ message: z.string() }),
});

/** A module of a blueprint that forgot its export. */
export const OPENS_NOTHING = true;

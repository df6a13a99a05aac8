/**
 * YAML to checked profile to loaded plugins to a composed run.
 *
 * @packageDocumentation
 */
export type { AnyPlugin, PluginsByKind } from './plugin/load-plugin.ts';
export { checkPlugins, type CheckedPlugin, type CheckedPlugins } from './plugin/check-plugins.ts';
export * from './compose.ts';
export * from './source/profile-issue.ts';
export * from './plugin/installed-plugins.ts';
export * from './json-schema.ts';
export { loadPlugin } from './plugin/load-plugin.ts';
export * from './load-offers.ts';
export * from './load-profile.ts';
export { LocatedPluginError } from './plugin/plugin-error.ts';
export * from './plugin/missing-requirements.ts';
export { missingRequirements } from './plugin/missing-requirements.ts';
export type { JsonSchema } from './schema/options-json-schema.ts';
export type { PluginKind } from './plugin/plugin-use.ts';
export * from './schema/profile.ts';
export { ProfileError } from './source/profile-issue.ts';
export { formatIssue, type ProfileIssue } from './source/profile-issue.ts';
export { parseQuantity, SIZE, type Quantity, type UnitSystem } from './quantity.ts';
export type { ResolutionOptions } from './plugin/resolve-plugin.ts';
export { surveyMachine } from './plugin/installed-plugins.ts';

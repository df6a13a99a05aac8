/**
 * YAML to checked profile to loaded plugins to a composed run.
 *
 * @packageDocumentation
 */
export * from './compose.ts';
export { isPluginAwaited } from './guard/await-plugin.ts';
export { blamePlugin, strayOwner, type NamesPlugins, type StrayOwner } from './guard/blame-plugin.ts';
export { observeHooks, runHook, runHookSync, type HookCall } from './guard/run-hook.ts';
export { pluginSiteOf, type PluginSite } from './guard/plugin-site.ts';
export * from './json-schema.ts';
export * from './load-offers.ts';
export * from './load-profile.ts';
export { checkPlugins, type CheckedPlugin, type CheckedPlugins } from './plugin/check-plugins.ts';
export { describedHardware, type DescribedHardware } from './plugin/described-hardware.ts';
export * from './plugin/installed-plugins.ts';
export { loadPlugin, type AnyPlugin, type PluginsByKind } from './plugin/load-plugin.ts';
export { MachineMissingError, missingRequirements } from './plugin/missing-requirements.ts';
export { LocatedPluginError } from './plugin/plugin-error.ts';
export type { PluginKind } from './plugin/plugin-use.ts';
export type { ResolutionOptions } from './plugin/resolve-plugin.ts';
export type { JsonSchema } from './schema/options-json-schema.ts';
export { shortFeatureName } from './schema/device-vocabulary.ts';
export * from './schema/profile-object.ts';
export * from './schema/profile.ts';
export {
  displayLocation,
  displayPath,
  formatIssue,
  ProfileError,
  type ProfileIssue,
  type SourceLocation,
} from './source/profile-issue.ts';
export type { ProfileSource, ProfileText } from './source/profile-source.ts';
export { closest } from './source/suggestion.ts';
export { formatWarning, type ProfileWarning } from './source/renamed-keys.ts';

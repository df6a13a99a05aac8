import { featureName } from '../../features/feature-name.ts';
import type { FeatureTable } from '../../features/feature-rows.ts';
import type { CaseNeed } from './conform-case.ts';

/** The device offers a feature, reserved or of the type with these rows, and a driver may accept it here. */
export function offersFeature(bit: number, ofType: FeatureTable): CaseNeed {
  const name = featureName(bit, ofType);
  return ({ acceptable, offered }) => {
    if (acceptable.has(bit)) return undefined;
    return offered.has(bit) ? `${name} cannot be accepted here` : `the device does not offer ${name}`;
  };
}

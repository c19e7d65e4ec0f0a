DROP TABLE findings, patrols, component_cases, components, grids;

export { joinTeam, type Member, startTeam, type Team } from './team.js';

// English-like stories for the demo checkpoint. Each story has a world that is kept: who is where, who holds what, what
// lies in which box. Sentences follow from the world and change it; pronouns agree with their person, verbs with their
// subject; and every story ends with questions whose answers can only be known from what was told before. Seeded: the
// same seed and length give the same text everywhere.

import { createRng, type Rng } from '#src/base';
import {
  ANIMAL_ACTS,
  ANIMALS,
  COLOURS,
  FEELINGS,
  HOLDERS,
  NUMBERS,
  PEOPLE,
  type Person,
  PLACES,
  QUALITIES,
  ROLES,
  THINGS,
  WEATHER,
} from './lexicon.js';

type Item = {
  readonly name: string;
  owner: Actor;
  place: string;
  holder: Actor | undefined;
  inside: string | undefined;
};
type Actor = Person & { readonly role: string; place: string };

const capital = (text: string): string => text[0]!.toUpperCase() + text.slice(1);
const article = (noun: string): string => (/^[aeiou]/.test(noun) ? `an ${noun}` : `a ${noun}`);
const subject = (a: Actor): string => (a.she ? 'she' : 'he');
const object = (a: Actor): string => (a.she ? 'her' : 'him');
const their = (a: Actor): string => (a.she ? 'her' : 'his');

class Story {
  private readonly rng: Rng;
  private readonly lines: string[] = [];
  private readonly actors: Actor[];
  private readonly items: Item[];
  /** The person last named; a pronoun may stand for them. */
  private last: Actor | undefined;

  constructor(rng: Rng) {
    this.rng = rng;
    const people = this.sample(PEOPLE, 2 + rng.below(3));
    const roles = this.sample(ROLES, people.length);
    const places = this.sample(PLACES, people.length);
    this.actors = people.map((person, i) => ({ ...person, role: roles[i]!, place: places[i]! }));
    this.items = this.sample(THINGS, people.length + 1).map((thing, i) => {
      const owner = this.actors[i % this.actors.length]!;
      const name = `${this.pick(rng.below(2) === 0 ? COLOURS : QUALITIES)} ${thing}`;
      return { name, owner, place: owner.place, holder: owner, inside: undefined };
    });
  }

  tell(): string {
    this.open();
    const length = 8 + this.rng.below(9);
    for (let i = 0; i < length; i++) this.event();
    this.close();
    return this.lines.join(' ');
  }

  private pick<T>(list: readonly T[]): T {
    return list[this.rng.below(list.length)]!;
  }

  private sample<T>(list: readonly T[], count: number): T[] {
    const rest = [...list];
    return Array.from({ length: count }, () => rest.splice(this.rng.below(rest.length), 1)[0]!);
  }

  private say(line: string): void {
    this.lines.push(line);
  }

  /** Names a person, or stands a pronoun for the one named last. */
  private name(actor: Actor): string {
    const again = this.last === actor && this.rng.below(3) > 0;
    this.last = actor;
    return again ? subject(actor) : actor.name;
  }

  private open(): void {
    this.say(`${this.pick(WEATHER)}.`);
    for (const actor of this.actors) {
      this.say(`${actor.name} was the ${actor.role}, and ${subject(actor)} was in the ${actor.place}.`);
      const owned = this.items.filter((item) => item.owner === actor);
      if (owned.length > 0)
        this.say(`${capital(subject(actor))} had ${owned.map((item) => article(item.name)).join(' and ')}.`);
      this.last = actor;
    }
  }

  private event(): void {
    const actor = this.pick(this.actors);
    const held = this.items.filter((item) => item.holder === actor);
    const found = this.items.filter((item) => !item.holder && item.place === actor.place);
    const near = this.actors.filter((other) => other !== actor && other.place === actor.place);
    const kind = this.rng.below(10);
    if (kind < 3) this.move(actor, held);
    else if (kind < 5 && found.length > 0) this.take(actor, this.pick(found));
    else if (kind < 7 && held.length > 0 && near.length > 0) this.give(actor, this.pick(held), this.pick(near));
    else if (kind < 7 && held.length > 0) this.put(actor, this.pick(held));
    else if (kind < 8) this.feel(actor);
    else if (kind < 9 && near.length > 0) this.talk(actor, this.pick(near));
    else this.animals(actor);
  }

  private move(actor: Actor, held: readonly Item[]): void {
    const place = this.pick(PLACES.filter((one) => one !== actor.place));
    const who = capital(this.name(actor));
    const burden = held.length > 0 && this.rng.below(2) === 0 ? ` with the ${this.pick(held).name}` : '';
    this.say(
      this.pick([
        `${who} went to the ${place}${burden}.`,
        `${who} walked from the ${actor.place} to the ${place}${burden}.`,
      ]),
    );
    actor.place = place;
    for (const item of held) item.place = place;
  }

  private take(actor: Actor, item: Item): void {
    const from = item.inside ? ` out of the ${item.inside}` : '';
    const whose = item.owner === actor ? `${their(actor)} ${item.name}` : `the ${item.name}`;
    this.say(`${capital(this.name(actor))} ${this.pick(['took', 'picked up', 'found'])} ${whose}${from}.`);
    item.holder = actor;
    item.inside = undefined;
  }

  private give(actor: Actor, item: Item, other: Actor): void {
    const who = capital(this.name(actor));
    this.say(`${who} gave the ${item.name} to ${other.name}.`);
    if (this.rng.below(2) === 0) this.say(`"Thank you, ${actor.name}," said ${other.name}.`);
    item.holder = other;
    this.last = other;
  }

  private put(actor: Actor, item: Item): void {
    const who = capital(this.name(actor));
    if (this.rng.below(2) === 0) {
      item.inside = this.pick(HOLDERS);
      this.say(`${who} put the ${item.name} into the ${item.inside} in the ${actor.place}.`);
    } else this.say(`${who} left the ${item.name} in the ${actor.place}.`);
    item.holder = undefined;
  }

  private feel(actor: Actor): void {
    const feeling = this.pick(FEELINGS);
    const missing = this.items.find((item) => item.owner === actor && item.holder !== actor);
    const why =
      missing && this.rng.below(2) === 0
        ? `, because ${subject(actor)} did not have ${their(actor)} ${missing.name}`
        : '';
    this.say(`${capital(this.name(actor))} was ${feeling}${why}.`);
  }

  private talk(actor: Actor, other: Actor): void {
    const item = this.pick(this.items);
    this.say(`"Where is the ${item.name}?" ${actor.name} asked ${other.name}.`);
    this.say(`"${this.whereabouts(item)}," said the ${other.role}.`);
    this.last = other;
  }

  private animals(actor: Actor): void {
    const animal = this.pick(ANIMALS);
    const [one, many, where] = this.pick(ANIMAL_ACTS);
    const plural = animal === 'goose' ? 'geese' : `${animal}s`;
    if (this.rng.below(2) === 0) this.say(`The ${animal} of the ${actor.role} ${one} ${where}.`);
    else this.say(`${capital(this.pick(NUMBERS))} ${plural} ${many} ${where}, and ${actor.name} watches them.`);
  }

  private whereabouts(item: Item): string {
    if (item.holder) return `${item.holder.name} has it in the ${item.holder.place}`;
    return item.inside ? `It is in the ${item.inside} in the ${item.place}` : `It is in the ${item.place}`;
  }

  private close(): void {
    this.say('So the day ended.');
    for (const item of this.sample(this.items, 2)) {
      this.say(`Where was the ${item.name} of ${item.owner.name}?`);
      if (item.holder === item.owner) this.say(`${capital(subject(item.owner))} still had it.`);
      else if (item.holder) this.say(`${item.holder.name} the ${item.holder.role} had it.`);
      else this.say(`It was in the ${item.inside ? `${item.inside} in the ${item.place}` : item.place}.`);
    }
    const actor = this.pick(this.actors);
    this.say(`And where was the ${actor.role}? ${actor.name} was in the ${actor.place}.`);
    const other = this.pick(this.actors);
    this.say(`The name of the ${other.role} was ${other.name}, and nobody asked ${object(other)} why.`);
  }
}

/** Stories, one a line, until there are `characters` characters or a little more. */
export function generateStories(seed: number, characters: number): string {
  const rng = createRng(seed);
  const stories: string[] = [];
  for (let length = 0; length < characters; ) {
    const story = new Story(rng).tell();
    stories.push(story);
    length += story.length + 1;
  }
  return `${stories.join('\n')}\n`;
}

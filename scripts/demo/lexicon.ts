// The words of the stories.

export type Person = { readonly name: string; readonly she: boolean };

export const PEOPLE: readonly Person[] = [
  ...['Agnes', 'Beatrice', 'Clara', 'Dora', 'Edith', 'Flora', 'Greta', 'Hannah', 'Ida', 'Josephine', 'Kate', 'Lucy'],
  ...['Martha', 'Nora', 'Olive', 'Phoebe', 'Rosa', 'Sophie', 'Tilda', 'Ursula'],
]
  .map((name) => ({ name, she: true }))
  .concat(
    ['Albert', 'Bernard', 'Caspar', 'David', 'Edmund', 'Felix', 'George', 'Henry', 'Isaac', 'Jonas', 'Karl', 'Leo']
      .concat(['Matthew', 'Ned', 'Oscar', 'Peter', 'Ralph', 'Samuel', 'Thomas', 'Walter'])
      .map((name) => ({ name, she: false })),
  );

export const ROLES = [
  'miller',
  'baker',
  'teacher',
  'sailor',
  'carpenter',
  'gardener',
  'clockmaker',
  'doctor',
  'weaver',
  'shepherd',
  'painter',
  'printer',
  'farmer',
  'fiddler',
  'postman',
  'smith',
] as const;

export const PLACES = [
  'mill',
  'market',
  'harbour',
  'church',
  'orchard',
  'kitchen',
  'library',
  'stable',
  'school',
  'garden',
  'tower',
  'inn',
  'bridge',
  'cellar',
  'barn',
  'workshop',
  'forest',
  'station',
  'bakery',
  'lighthouse',
] as const;

export const THINGS = [
  'key',
  'lamp',
  'letter',
  'basket',
  'coat',
  'book',
  'clock',
  'violin',
  'rope',
  'map',
  'spoon',
  'ring',
  'hat',
  'knife',
  'blanket',
  'mirror',
  'bell',
  'hammer',
  'candle',
  'cup',
  'picture',
  'whistle',
  'umbrella',
  'button',
] as const;

export const HOLDERS = ['box', 'drawer', 'chest', 'cupboard', 'sack', 'barrel'] as const;

export const COLOURS = ['red', 'blue', 'green', 'black', 'white', 'brown', 'yellow', 'grey'] as const;

export const QUALITIES = [
  'old',
  'small',
  'heavy',
  'broken',
  'silver',
  'wooden',
  'clean',
  'dusty',
  'long',
  'strange',
  'fine',
  'narrow',
] as const;

export const WEATHER = [
  'It was raining',
  'Snow lay on the roofs',
  'The sun was shining',
  'A cold wind blew from the sea',
  'The fog was thick',
  'It was a warm evening',
  'The night was clear',
  'Clouds hung over the hills',
] as const;

export const FEELINGS = ['happy', 'tired', 'angry', 'afraid', 'proud', 'lonely', 'hungry', 'surprised'] as const;

export const ANIMALS = ['dog', 'cat', 'goat', 'hen', 'horse', 'crow', 'cow', 'goose'] as const;

export const ANIMAL_ACTS = [
  ['sleeps', 'sleep', 'under the table'],
  ['waits', 'wait', 'by the door'],
  ['runs', 'run', 'across the yard'],
  ['sits', 'sit', 'on the wall'],
  ['looks', 'look', 'out of the window'],
  ['drinks', 'drink', 'from the bucket'],
] as const;

export const NUMBERS = ['two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten'] as const;

// Building blocks of the page as strings. Strings from a record go through `escapeHtml`; values of type `Html` are markup
// already. The type is a reminder, not a guard: the page’s Content-Security-Policy forbids scripts and loads in case one
// gets through.

export type Html = string;

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

export const escapeHtml = (text: string): Html => text.replaceAll(/[&<>"']/g, (character) => ENTITIES[character]!);

/** A section with its heading; empty where there is nothing to show. `id` is also its class. */
export function section(id: string, title: string, ...parts: readonly Html[]): Html {
  const body = parts.filter((part) => part !== '').join('\n');
  if (body === '') return '';
  return `<section id="${id}" aria-labelledby="${id}-title">\n<h2 id="${id}-title">${title}</h2>\n${body}\n</section>`;
}

/** A row of a table: its head and its cells. `chosen` highlights it. */
export type Row = { readonly head: Html; readonly cells: readonly Html[]; readonly chosen?: boolean };

/** A table in a box of its own, which scrolls sideways where the screen is narrower than the table. */
export function table(label: string, columns: readonly Html[], rows: readonly Row[]): Html {
  const head = columns.map((column) => `<th scope="col">${column}</th>`).join('');
  const body = rows.map(({ head, cells, chosen }) => {
    const open = chosen ? '<tr class="chosen">' : '<tr>';
    return `${open}<th scope="row">${head}</th>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`;
  });
  return `<div class="scroll" role="region" tabindex="0" aria-label="${escapeHtml(label)}">
<table>
<thead><tr>${head}</tr></thead>
<tbody>
${body.join('\n')}
</tbody>
</table>
</div>`;
}

/** Names and values, such as `seed: 0`; pairs without a value are left out. */
export function list(pairs: readonly (readonly [name: Html, value: Html | undefined])[]): Html {
  const items = pairs.filter(([, value]) => value !== undefined);
  return `<dl>\n${items.map(([name, value]) => `<div><dt>${name}</dt><dd>${value}</dd></div>`).join('\n')}\n</dl>`;
}

export const note = (text: Html): Html => `<p class="note">${text}</p>`;

/** A chart below its key, with a caption, and its numbers as a table. */
export function figure(key: Html, pictures: Html, caption: Html, numbers: Html): Html {
  return `<figure>
${key}
${pictures}
<figcaption>${caption}</figcaption>
</figure>
<details><summary>The numbers</summary>
${numbers}
</details>`;
}

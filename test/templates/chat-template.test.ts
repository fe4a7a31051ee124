import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ChatTemplate, type RenderOptions } from '../../src/index.ts'

const user = [{ role: 'user', content: 'hi' }]
const render = (source: string, options?: RenderOptions) =>
  new ChatTemplate(source, 'the template').render(user, options)

describe('chat template', () => {
  it('names the line at fault when it cannot be read', () => {
    const broken: [string, RegExp][] = [
      ['a\n{% if x %}\nb', /ends inside a block/],
      ['a\nb {{ x', /line 2/],
      ['a\n\n{{ x | }}\nb', /line 3/],
      ['{% for x in y %}\n{{ x }}\n{% endif %}', /line 3/],
      ['{{ 1 }}\n{% nonsense %}', /line 2.*nonsense/],
      ["{{ '{{' }}\n{# {% #}\n{{ & }}", /line 3/],
      ['{% if x %}a{% else +%}\nb{% endif %}', /line 1/],
    ]
    for (const [source, message] of broken) {
      assert.throws(
        () => new ChatTemplate(source, 'f.jinja'),
        { code: 'DATA_CORRUPT', message: /^f\.jinja/ },
        source,
      )
      assert.throws(() => new ChatTemplate(source, 'f.jinja'), { message }, source)
    }
  })

  it('names the line at fault when it fails', () => {
    const failing: [string, RegExp][] = [
      ['a\n{% if true %}\n{{ missing.field }}{% endif %}', /line 3.*'missing' is undefined/],
      [
        "\n{% for m in messages %}\n{{ raise_exception('no ' ~ m.role) }}\n{% endfor %}",
        /line 3.*refuses.*no user/,
      ],
      ['{% set x = 1 %}{#\n\n#}{{ x + "a" }}', /line 3.*'\+' between a integer and a string/],
      ['{% if a %}\n{% elif b %}\n{% else %}\n{{ 1 // 0 }}{% endif %}', /line 4.*division by zero/],
      ['{{ strftime_now("%Q") }}', /line 1.*"%Q"/],
      ['{% break %}', /break outside a loop/],
      ['{{ nothing() }}', /line 1/],
      ['{{ messages | shuffle }}', /line 1.*shuffle/],
    ]
    for (const [source, message] of failing) {
      assert.throws(() => render(source), { code: 'DATA_CORRUPT', message: /^the template, line/ }, source)
      assert.throws(() => render(source), { message }, source)
    }
    assert.throws(() => new ChatTemplate('x').render([]), { code: 'INVALID_ARGUMENT' })
  })

  it('tells the date that it is given', () => {
    const date = new Date(2024, 6, 6, 15, 4, 5)
    const source = '{{ strftime_now("%d %b %Y|%-d %B %y|%A %H:%M:%S|%I %p|%j|%F|%%") }}'
    assert.equal(render(source, { date }), '06 Jul 2024|6 July 24|Saturday 15:04:05|03 PM|188|2024-07-06|%')
    assert.match(render('{{ strftime_now("%Y") }}'), /^20\d\d$/)
  })

  it('sees enable_thinking only where it is given, and other names as they are', () => {
    const source = '{{ enable_thinking is defined }} {{ enable_thinking }} {{ mode }}'
    assert.equal(render(source), 'False  ')
    assert.equal(render(source, { enableThinking: false, variables: { mode: 'm' } }), 'True False m')
  })

  it('differs from Python where JavaScript cannot know: whole floats and order of number-like keys in data', () => {
    const source = '{{ messages[0].data | tojson }}'
    const data = JSON.parse('{"b": 1.0, "2": 1, "1": 2}')
    // Python: {"b": 1.0, "2": 1, "1": 2}
    const own = new ChatTemplate(source).render([{ role: 'user', data }])
    assert.equal(own, '{"1": 2, "2": 1, "b": 1}')
  })
})

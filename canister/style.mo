/// The style sheet of the pages for people, at /.icfs/style.css. The pages' content security policy allows no inline styles.
module {
  public let css : Text = "
:root { color-scheme: light dark; --paper: #fcfbf9; --ink: #1f2123; --quiet: #676a6e; --line: #e5e2dc; --well: #f3f1ec; --link: #1c5f58; --mark: #9a3b1e }
@media (prefers-color-scheme: dark) {
  :root { --paper: #141618; --ink: #e6e4e0; --quiet: #9b9ea3; --line: #2c2f33; --well: #1c1f22; --link: #84c9bd; --mark: #f0a284 }
}
* { box-sizing: border-box }
html { background: var(--paper); color: var(--ink); font: 1rem/1.6 system-ui, sans-serif; -webkit-text-size-adjust: 100%; text-size-adjust: 100% }
body { margin: 0 }
main { max-width: 48rem; margin: 0 auto; padding: 3.5rem 1.5rem 5rem }
h1 { margin: 0 0 1rem; font-size: 1.5rem; line-height: 1.3; font-weight: 600; overflow-wrap: anywhere }
h2 { margin: 4rem 0 1rem; font-size: 1.15rem; font-weight: 600 }
h3 { margin: 2rem 0 .25rem; font-size: 1rem; font-weight: 600 }
p { margin: .25rem 0 1rem; max-width: 40rem }
.quiet, footer, nav { color: var(--quiet) }
a { color: var(--link); text-underline-offset: .2em; text-decoration-thickness: 1px; text-decoration-color: color-mix(in srgb, currentColor 40%, transparent); unicode-bidi: isolate }
a:hover { text-decoration-color: currentColor }
code, pre { font: .875em/1.6 ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace }
h1 code { font-size: .95em }
pre { margin: .5rem 0 1rem; padding: .9rem 1.1rem; white-space: pre-wrap; overflow-wrap: anywhere; background: var(--well); border-radius: .5rem }
pre code { font-size: .875rem }
dl { margin: 1.5rem 0 0 }
dt { color: var(--quiet); font-size: .875rem }
dd { margin: 0 0 1.1rem; overflow-wrap: anywhere; white-space: pre-wrap; unicode-bidi: isolate }
dd code { user-select: all }
.scroll { overflow-x: auto; margin: 1rem 0 }
table { width: 100%; border-collapse: collapse; font-size: .9375rem }
th { text-align: left; font-weight: 400; font-size: .875rem; color: var(--quiet) }
th, td { padding: .5rem 1.5rem .5rem 0; border-bottom: 1px solid var(--line); vertical-align: baseline; white-space: nowrap }
th:last-child, td:last-child { padding-right: 0 }
td:first-child { white-space: pre-wrap; overflow-wrap: anywhere; min-width: 11rem }
.files td:nth-child(2), .files th:nth-child(2) { text-align: right; font-variant-numeric: tabular-nums }
td code { display: block; width: 9rem; overflow: hidden; text-overflow: ellipsis; color: var(--quiet); user-select: all }
.releases td:first-child, .channels td:first-child { min-width: 3rem }
.channels td:last-child { white-space: normal; overflow-wrap: anywhere }
mark { padding: 0 .3em; border: 1px solid currentColor; border-radius: .25em; background: none; color: var(--mark); font: .75em/1.4 ui-monospace, monospace; white-space: nowrap; user-select: none }
nav { margin-bottom: 1.5rem; font-size: .9375rem; overflow-wrap: anywhere }
.turn { display: flex; gap: 2rem; margin: 1.5rem 0 0 }
footer { margin-top: 4.5rem; padding-top: 1.5rem; border-top: 1px solid var(--line); font-size: .9375rem }
@media (max-width: 34rem) {
  main { padding: 2rem 1.15rem 3.5rem }
  h1 { font-size: 1.25rem }
  h2 { margin-top: 3rem }
  th, td { padding-right: 1rem }
  td:first-child { min-width: 8.5rem }
  td code { width: 6rem }
  .releases th, .releases td { padding-right: .5rem }
  .channels th, .channels td { padding-right: .5rem }
  .channels td:nth-child(3) { white-space: normal; min-width: 6rem }
  .releases td:nth-child(2) { white-space: normal; min-width: 7rem }
  .releases td code { width: 4rem }
}
";
};

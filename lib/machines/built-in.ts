/** The default templates: each machine boots Linux by PXELINUX, GRUB or iPXE, with the variables kernel, initrd and args. */
import type { Template } from "./templates.ts";

export const BUILT_IN: readonly Template[] = [
  {
    name: "pxelinux",
    path: "pxelinux.cfg/01-{{ mac_dashes }}",
    text: `# {{ name }}
DEFAULT boot
LABEL boot
  LINUX {{ kernel | one_line }}
{%- if initrd != blank %}
  INITRD {% for file in initrd %}{% unless forloop.first %},{% endunless %}{{ file | one_line }}{% endfor %}
{%- endif %}
{%- if args != blank %}
  APPEND {{ args | one_line }}
{%- endif %}
`,
  },
  {
    name: "grub",
    path: '{% if grub_directory != "" %}{{ grub_directory }}/{% endif %}grub.cfg-01-{{ mac_dashes }}',
    text: `# {{ name }}
set timeout=0
menuentry "{{ name }}" {
  linux /{{ kernel | one_line }} {{ args | default: "" | one_line | grub }}
{%- if initrd != blank %}
  initrd{% for file in initrd %} /{{ file | one_line }}{% endfor %}
{%- endif %}
}
`,
  },
  {
    name: "ipxe",
    path: "ipxe/{{ mac_dashes }}.ipxe",
    text: `#!ipxe
# {{ name }}
kernel ../{{ kernel | one_line }}{% if initrd != blank %}{% for file in initrd %} initrd={{ file | split: "/" | last | one_line }}{% endfor %}{% endif %} {{ args | default: "" | one_line }}
{%- if initrd != blank %}{% for file in initrd %}
initrd ../{{ file | one_line }}
{%- endfor %}{% endif %}
boot
`,
  },
];

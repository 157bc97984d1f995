"""Names and texts of the naughty-strings kind: what a container, a file or a log line may be called, and
must not do.
"""

from __future__ import annotations

NAUGHTY = (
    "<script>alert('x')</script>",
    '"><img src=x onerror=alert(1)>',
    "'; DROP TABLE records; --",
    "{{ 7 * 7 }}{% raw %}",
    "`id` $(id) ${HOME} %s %n",
    "| a | b |\n| --- | --- |",
    "[click](javascript:alert(1)) ![x](http://192.0.2.1/x.png)",
    "**bold** _it_ ~~no~~ # head @everyone #123 :smile: https://192.0.2.1/ www.example.org",
    "````\n```fence`",
    "]]> <!-- --> <![CDATA[ &amp; &#x41; &lol;",
    "\u202egnp.exe\u202c \u2066x\u2069 \u200b\ufeff",
    "\x00\x07\x08\x1b[31mred\x1b[0m\r\n\x7f\x85",
    "\ud800 \udfff \ufffe \uffff \U0001fffe",
    "\u2028line\u2029paragraph",
    "Ω≈ç√∫ 田中さん ثم نفس 👩‍👩‍👧 Z̮̞̠͙͔ͅ",
    "../../etc/passwd \\\\host\\share nul CON",
    "1e309 NaN -0 0x7f 1/0",
    "\n---\n- [ ] task\n> quote\n    code\n1. one",
    "a" * 3000,
)

"""Mathematical characters as the LaTeX they stand for, and characters that nobody sees.

Serves the section "Domains" of the design (one answer comparer). Digits and letters of other scripts are not here:
they count as what they are.
"""

from __future__ import annotations

INVISIBLE = dict.fromkeys(
    [0xAD, 0xFEFF, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x206A)]
)

_COMMANDS = {
    "×": "times", "·": "cdot", "⋅": "cdot", "÷": "div", "∞": "infty", "±": "pm", "∓": "mp", "≤": "le", "⩽": "le",
    "≥": "ge", "⩾": "ge", "≠": "neq", "∪": "cup", "∩": "cap", "∈": "in", "∅": "emptyset", "∖": "setminus",
    "∧": "land", "∨": "lor", "≡": "equiv", "∠": "angle", "…": "ldots", "⌊": "lfloor", "⌋": "rfloor", "⌈": "lceil",
    "⌉": "rceil", "⟨": "langle", "⟩": "rangle", "π": "pi", "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta",
    "θ": "theta", "λ": "lambda", "μ": "mu", "σ": "sigma", "φ": "phi", "ω": "omega", "ℓ": "ell",
}  # fmt: skip
_FRACTIONS = {
    "½": "12", "⅓": "13", "⅔": "23", "¼": "14", "¾": "34", "⅕": "15", "⅖": "25", "⅗": "35", "⅘": "45", "⅙": "16",
    "⅚": "56", "⅛": "18", "⅜": "38", "⅝": "58", "⅞": "78",
}  # fmt: skip
_SPACES = "\u00a0\u2009\u202f"

_OTHERS = {"−": "-", "–": "-"}
_FULL_WIDTH = {
    chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F) if not chr(code - 0xFEE0).isalnum()
}
_PUNCTUATION = {**_FULL_WIDTH, "，": ", ", "、": ", ", "。": ".", "【": "[", "】": "]", "\u3000": " "}
_SETS = dict(zip("ℝℤℕℚℂ", "RZNQC", strict=True))

PUNCTUATION = str.maketrans(_PUNCTUATION)
"""Full-width punctuation, for `str.translate`: what marks an answer, before it is cleaned."""

CHARACTERS = str.maketrans(
    {
        **{character: f"\\{name} " for character, name in _COMMANDS.items()},
        **{character: f"\\frac{{{digits[0]}}}{{{digits[1]}}}" for character, digits in _FRACTIONS.items()},
        **{character: f"^{{{power}}}" for power, character in enumerate("²³⁴⁵⁶⁷⁸⁹", start=2)},
        **{character: f"_{{{index}}}" for index, character in enumerate("₀₁₂₃₄₅₆₇₈₉")},
        **{character: f"\\mathbb{{{letter}}}" for character, letter in _SETS.items()},
        **dict.fromkeys(_SPACES, "\\ "),
        **_OTHERS,
        **_PUNCTUATION,
    }
)
"""For `str.translate`."""

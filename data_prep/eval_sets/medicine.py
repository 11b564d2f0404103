"""Medicine-form questions with four options: dosage and triage by invented rules, judged by the domain `choice`.

Serves design.md, section Domains. The drugs, scores and limits are invented and stand in the question: this measures
applying rules of this form, no medical knowledge, and nothing in it is advice. `make_problem(seed, index)` depends on
nothing else.
"""

import random
from dataclasses import dataclass

from data_prep.eval_sets.chains import Chain, Problem, Step

LETTERS = "ABCD"
DRUGS = ("Veltrine", "Ostrane", "Calmora", "Ridexol", "Panvera", "Somital")
PLACES = ("stay at home", "see a doctor this week", "go to a clinic today", "call an ambulance")


@dataclass(frozen=True)
class Patient:
    """The facts of a dosage question."""

    age: int
    weight: int
    kidney: int
    other_drug: str | None


@dataclass(frozen=True)
class DoseRules:
    """The invented rules of a drug: mg for each kg, the age of adults, kidney grade, cut in percent, most in mg."""

    drug: str
    per_kg: int
    adult: int
    kidney: int
    cut: int
    most: int
    clash: str


def make_problem(seed: int, index: int, attempt: int = 0) -> Problem:
    """The problem at (seed, index); `attempt` counts redraws."""
    rng = random.Random(f"eval_sets/medicine/{seed}/{index}/{attempt}")
    return _dosage(rng) if rng.random() < 0.55 else _triage(rng)


def _dosage(rng: random.Random) -> Problem:
    drug, clash, harmless = rng.sample(DRUGS, 3)
    per_kg = rng.choice((2, 3, 4, 5))
    rules = DoseRules(
        drug=drug,
        per_kg=per_kg,
        adult=rng.choice((12, 14, 16)),
        kidney=3,
        cut=rng.choice((20, 25, 40)),
        most=per_kg * rng.choice((40, 50, 60)),
        clash=clash,
    )
    patient = Patient(
        rng.choice((rng.randint(6, rules.adult - 1), rules.adult, rng.randint(rules.adult + 1, 80))),
        rng.choice((20, 30, 40, 50, 60, 70, 80)),
        rng.randint(1, 5),
        rng.choice((None, None, harmless, clash)),
    )
    mistakes = ("clash", "age", "kidney", "most", "slip", "per_kg")
    doses = {mistake: _dose(rules, patient, mistake)[1] for mistake in (None, *mistakes)}
    gold = doses[None]
    others = sorted({dose for dose in doses.values() if dose != gold})
    rng.shuffle(others)
    spare = [gold + step for step in (rules.per_kg * 5, rules.per_kg * 15, rules.per_kg * 25)]
    offered = [gold, *list(dict.fromkeys([*others, *spare]))[:3]]
    rng.shuffle(offered)
    letters = {dose: letter for dose, letter in zip(offered, LETTERS, strict=True)}

    def solve(mistake: str | None) -> Chain:
        steps, dose = _dose(rules, patient, mistake)
        letter = letters.get(dose, letters[gold])  # an option that is not offered makes no wrong route
        return Chain((*steps, Step(f"so ({letter})")), letter)

    rare = patient.other_drug == clash or patient.age == rules.adult
    return Problem(_dosage_text(rules, patient, offered), "dosage", rare, solve, mistakes)


def _dosage_text(rules: DoseRules, patient: Patient, offered: list[int]) -> str:
    other = patient.other_drug or "nothing else"
    return "\n".join(
        [
            f"Invented rules for the invented drug {rules.drug}, dose a day:",
            f"1. {rules.per_kg} mg for each kg of body weight.",
            f"2. Under {rules.adult} years: half of that.",
            f"3. Kidney grade {rules.kidney} or above: {rules.cut}% less than by rules 1 and 2.",
            f"4. Never more than {rules.most} mg, which is looked at last.",
            f"5. Together with {rules.clash}: 0 mg, whatever the other rules say.",
            f"Patient: {patient.age} years, {patient.weight} kg, kidney grade {patient.kidney}, takes {other}.",
            "What is the dose a day?",
            *(f"({letter}) {dose} mg" for letter, dose in zip(LETTERS, offered, strict=True)),
        ]
    )


def _dose(rules: DoseRules, patient: Patient, mistake: str | None) -> tuple[list[Step], int]:
    """The steps and the dose in mg, rounded down; a mistake is followed through."""
    asked = Step(f"asked: {rules.drug} a day at {patient.age} years, {patient.weight} kg", spare=True)
    clash = (patient.other_drug == rules.clash) != (mistake == "clash")
    steps = [
        asked,
        Step(f"rule 5: takes {patient.other_drug or 'nothing else'}: {_applies(clash)}", spare=not clash),
    ]
    if clash:
        steps.append(Step("rules 1 to 4 do not matter", spare=True))
        return [*steps, Step("dose: 0 mg", spare=True)], 0
    per_kg = rules.per_kg + (mistake == "per_kg")
    dose = patient.weight * per_kg + (50 if mistake == "slip" else 0)
    steps.append(Step(f"rule 1: {patient.weight} x {per_kg} = {dose} mg"))
    young = (patient.age < rules.adult) != (mistake == "age")
    if young:
        dose //= 2
    outcome = f"{_applies(young)}, {dose} mg" if young else _applies(young)
    steps.append(Step(f"rule 2: {patient.age} years, limit {rules.adult}: {outcome}", spare=not young))
    weak = (patient.kidney >= rules.kidney) != (mistake == "kidney")
    if weak:
        dose = dose * (100 - rules.cut) // 100
    outcome = f"{_applies(weak)}, {dose} mg" if weak else _applies(weak)
    steps.append(Step(f"rule 3: grade {patient.kidney}, limit {rules.kidney}: {outcome}", spare=not weak))
    over = dose > rules.most and mistake != "most"
    steps.append(
        Step(f"rule 4: {dose} mg, most {rules.most}: {'cut' if over else 'not over'}", spare=not over)
    )
    dose = rules.most if over else dose
    return [*steps, Step(f"dose: {dose} mg", spare=True)], dose


def _applies(does: bool) -> str:
    return "applies" if does else "does not apply"


LIMITS = {"pulse": (100, 130), "breaths": (20, 30), "temperature": (38, 40)}
AWAKE = ("fully awake", "fully awake", "fully awake", "fully awake", "not fully awake")


def _triage(rng: random.Random) -> Problem:
    signs = {
        "pulse": rng.choice((80, 95, 105, 120, 135, 150)),
        "breaths": rng.choice((14, 18, 22, 27, 32, 36)),
        "temperature": rng.choice((36, 37, 39, 40, 41)),
    }
    awake, old = rng.choice(AWAKE), rng.choice((30, 55, 68, 77, 84))
    places = list(PLACES)
    rng.shuffle(places)
    letters = dict(zip(places, LETTERS, strict=True))

    def solve(mistake: str | None) -> Chain:
        confused = (awake != AWAKE[0]) != (mistake == "awake")
        steps = [Step("asked: where this patient goes", spare=True)]
        steps.append(Step(f"exception: {awake}: {_applies(confused)}", spare=not confused))
        if confused:
            steps.append(Step("the total does not matter", spare=True))
            place = PLACES[3]
        else:
            total = 0
            for sign, value in signs.items():
                points = sum(value > limit for limit in LIMITS[sign])
                if mistake == sign:
                    points = points - 1 if points else 1
                total += points
                steps.append(Step(f"{sign} {value}: {points}", spare=points == 0))
            older = (old > 75) != (mistake == "age")
            total += older
            steps.append(Step(f"age {old}: {int(older)}", spare=not older))
            steps.append(Step(f"total: {total}"))
            place = PLACES[min((total + (mistake == "class")) // 2, 3)]
        steps.append(Step(f"place: {place}", spare=True))
        return Chain((*steps, Step(f"so ({letters[place]})")), letters[place])

    rules = [
        "Invented rules of a help line. Points:",
        *(f"- {sign} over {low}: 1, over {high}: 2" for sign, (low, high) in LIMITS.items()),
        "- age over 75: 1",
        (
            "Total 0 or 1: stay at home. 2 or 3: see a doctor this week. 4 or 5: go to a clinic today. "
            "6 or more: call an ambulance."
        ),
        "Exception: who is not fully awake calls an ambulance, whatever the total.",
        "Caller: " + ", ".join(f"{sign} {value}" for sign, value in signs.items()) + f", age {old}, {awake}.",
        "What does the caller do?",
        *(f"({letter}) {place}" for place, letter in letters.items()),
    ]
    mistakes = ("awake", *signs, "age", "class")
    return Problem("\n".join(rules), "triage", awake != AWAKE[0], solve, mistakes)

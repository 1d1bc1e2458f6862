"""Weekly deliveries of a registry: results that come, are corrected and withdrawn, and people who come to be known."""

from datetime import date, timedelta
from itertools import count

import numpy as np

PEOPLE, FIRST = 60, date(2025, 1, 6)
WEEK, DAY = timedelta(days=7), timedelta(days=1)


def deliveries(weeks, folder):
    """A folder of files for each Monday; how many results were corrected and withdrawn."""
    random, number, standing, changed = np.random.default_rng(5), count(), {}, {"corrected": 0, "withdrawn": 0}
    for week in range(weeks):
        monday, place = FIRST + week * WEEK, folder / f"{week:02d}"
        place.mkdir(parents=True)
        known = [n for n in range(PEOPLE) if n % 3 <= week]  # a third is known first in each of the first weeks
        new = [n for n in known if n % 3 == week or week == 0]
        born = "".join(f"p{n},{1940 + n}-01-01\n" for n in new)
        (place / "person.csv").write_text("person,born\n" + born)
        rows = []
        for n in known:
            for _ in range(random.integers(0, 4)):
                day = monday - timedelta(days=int(random.integers(1, 60)))
                name, released = f"l{next(number)}", monday - timedelta(days=int(random.integers(2, 7)))
                standing[name] = (n, min(day, released))
                rows.append((name, *standing[name], released, int(random.integers(1, 100))))
        older = [name for name in standing if name not in {row[0] for row in rows}]
        for name in random.permutation(older)[: len(older) // 5]:
            is_withdrawn = random.random() < 0.4
            changed["withdrawn" if is_withdrawn else "corrected"] += 1
            result = "withdrawn" if is_withdrawn else int(random.integers(100, 200))
            rows.append((name, *standing[name], monday - DAY, result))
            if is_withdrawn:
                del standing[name]
        labs = "".join(f"{name},p{n},{day},{released},{result}\n" for name, n, day, released, result in rows)
        (place / "lab.csv").write_text("lab,person,day,released,result\n" + labs)
    return changed

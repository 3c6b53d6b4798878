### What the hub says of a wait.

expected-waiting = Doctor in about { $low }–{ $high } min (said at { $at })
expected-nobody = No doctor is there for this patient. The coordinator knows (since { $at }).
expected-closed = No doctor sits at present.
expected-opens = Doctors sit again: { $when }

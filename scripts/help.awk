# Print the groups (##@) of the Makefile and their targets (##); with all=1 also the rest (###).
/^##@ / { printf "%s%s\n", groups++ ? "\n" : "", substr($0, 5); next }
/^[a-z-]+:.* ##/ {
  hidden = match($0, / ### /)
  if (!hidden) match($0, / ## /)
  if (!hidden || all) printf "  %-20s %s\n", substr($0, 1, index($0, ":") - 1), substr($0, RSTART + RLENGTH)
}
END { if (!all) print "\nmake help ALL=1 lists single steps and maintenance too." }

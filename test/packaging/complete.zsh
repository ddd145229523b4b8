# Prints the words that an interactive zsh would offer after LINE, one a line: zsh -f complete.zsh DIRECTORY LINE, where DIRECTORY has
# _icfs. It starts such a zsh on a terminal of its own, whose compadd prints the words that it is given.
zmodload zsh/zpty
zpty shell zsh -f -i
() {
  zpty -w shell source $1
  local line
  while zpty -r shell line; do
    [[ $line == ready* ]] && return
  done
} =(<<<"
PROMPT=
unset zle_bracketed_paste
fpath=($1 \$fpath)
autoload -Uz compinit && compinit -u -D
bindkey '^I' complete-word
zstyle ':completion:*' insert-tab false
mark() { print -r - @@@ }
compprefuncs=(mark)
comppostfuncs=(mark exit)
compadd() {
  if [[ \${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then
    builtin compadd \"\$@\"
    return
  fi
  local -a hits
  builtin compadd -A hits \"\$@\"
  local hit
  for hit in \$hits; do print -r - \$hit; done
}
print ready")
zpty -w shell "$2"$'\t'
integer marks=0
while zpty -r shell line; do
  line=${line//[$'\r\n']/}
  if [[ $line == *@@@* ]]; then
    (( ++marks == 2 )) && break
  elif (( marks )); then
    print -r - $line
  fi
done
zpty -d shell

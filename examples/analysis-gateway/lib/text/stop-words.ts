// Words that say nothing about what a text is about, for the languages that are told apart.

const LISTS: Record<string, string> = {
  en: 'a an and are as at be been but by can could did do does for from had has have he her him his i if in into is it its me my no not of on or our out shall she should so than that the their them then there these they this to too up us was we were what when which who will with would you your',
  de: 'aber als am an auch auf aus bei bin bis das dass dem den der des die dies diese dieser du durch ein eine einem einen einer er es für hat hatte ich ihm ihn ihr im in ist ja kann mein mit nach nicht noch nur oder sein sich sie sind so über um und uns unter vom von vor war wenn werden wie wir wird zu zum zur',
  fr: "au aux avec ce ces cette dans de des du elle en est et il ils je l la le les leur lui ma mais me mes mon n ne nous on ont ou où par pas pour qu que qui s sa se ses son sont sur ta te tes toi ton tu un une vos votre vous y à été être c d j m t c'est qu'il",
  es: 'a al como con cuando de del desde donde el ella en entre era es esta este fue ha hay la las le lo los más me mi muy no nos o para pero por que quien se ser si sin sobre son su sus también te un una y ya',
  it: 'a ad ai al alla alle anche che chi ci come con da dal dalla dei del della delle di e è gli ha ho i il in io la le lo ma mi ne nel nella no non o per più quello questo se si sono su sua sul sulla suo tra un una uno',
  nl: 'aan al als bij dan dat de der deze die dit door een en er haar had heb hebben heeft het hij hoe hun ik in is je kan maar me met mijn naar niet nog nu of om onder ook op over te tot u uit van veel voor was wat we wel werd wie zal ze zich zij zijn zo zou',
  pt: 'a ao aos as com como da das de do dos e é ela ele em entre era essa esse esta este eu foi há isso já lhe mais mas me meu muito na não nas no nos o os ou para pela pelo por quando que quem se sem ser seu sua são também te um uma',
}

const SETS = new Map(Object.entries(LISTS).map(([code, list]) => [code, new Set(list.split(' '))]))
const NONE: ReadonlySet<string> = new Set()

export function stopWords(language: string | null): ReadonlySet<string> {
  return SETS.get(language ?? '') ?? NONE
}

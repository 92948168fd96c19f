"""Common English words of 5 to 14 letters, written down for this project, in alphabetical order."""

TEXT = """
ability absence academy accident account achieve acquire address admire advance adventure advice afternoon agency
agreement airport alcohol allowance almost alphabet already although amazing ambition amount ancient anger angle
animal ankle announce annual answer anxiety anybody apartment apparent appeal appear apple appoint approach apricot
archive argue argument arrange arrival arrow article artist ashamed aspect assemble assist assume athlete attach
attempt attend attitude attract auction audience author autumn average avoid awake award awkward baggage bakery
balance balloon banana bandage banker banquet bargain barrier basement basket battery battle beach beautiful beauty
because bedroom before beginning behave behind belief belong beneath benefit beside better between bicycle biology
biscuit bitter blanket blossom blueberry border borrow bottle bottom boundary bracelet branch bravery breakfast breath
breeze bridge bright bring broken brother brush bubble bucket budget buffalo builder building bullet bundle burden
butter butterfly button buyer cabbage cabinet cable calendar camera campaign candidate candle capable capital captain
capture carbon cardboard career careful carpenter carpet carriage carrot castle casual catalog cathedral cattle
caution ceiling celebrate cellar central century ceremony certain chain chair challenge champion chance change channel
chapter character charity charm cheerful cheese chemical cherry chest chicken childhood chimney chocolate choice
church circle circus citizen civil classroom clean clever climate climb clock closet cloth clothing cloud coast coffee
collar collect college color column combine comedy comfort command comment common companion company compare compete
complain complete computer concert condition conduct confess confident confirm connect consider constant consult
consume contain content contest continent continue contract control convince cooking copper corner correct costume
cottage cotton council counter country courage course cousin cover craft cream create creature credit cricket criminal
crisis critic crowd crown cruel crystal culture curious current curtain custom customer cycle daily damage dance
danger darkness daughter debate decade decide declare decline decorate deliver demand dentist depart depend depth
describe desert deserve design desire destroy detail develop device devote dialogue diamond difference different
difficult dinner dinosaur direct direction disappear disaster discover discuss disease dismiss display distance
district disturb divide doctor document dollar dolphin domestic donkey double doubt dragon drama drawer dream dress
drink driver during dusty eager early earnest earth earthquake easily eastern economy editor educate education effect
effort eight either elbow elderly election electric elegant elephant elevator eleven embrace emotion emperor employ
empty enable encourage endless energy engine engineer enjoy enormous enough entire entrance envelope equal equipment
error escape especially essay establish estimate evening event evidence exactly examine example excellent except
exchange excite excuse exercise exhibit exist expand expect expensive experience experiment expert explain explore
export express extend extra extreme eyebrow fabric factory failure fairly faith false familiar family famous fantasy
farewell farmer fashion father fault favorite feather feature feeling fellow female fence festival fiber fiction field
fifteen fifty figure final finance finger finish firefly fisherman fitness flame flavor flight float flood floor flour
flower fluid follow football forbid foreign forest forever forget forgive formal former fortune forward foundation
fountain fourteen fraction fragile frame freedom freeze frequent fresh friend friendly frighten front frozen fruit
function funny furniture future gallery garage garden garlic gather general generous gentle genuine geography gesture
ghost giant ginger giraffe glass global glory glove golden goodbye government graceful grain grammar grand grandmother
grass grateful gravity green greeting grocery ground group growth guard guess guest guide guilty guitar habit hammer
handful handle happen happiness harbor harmony harvest health healthy hearing heart heavy height helicopter helmet
helpful herself hidden highway himself history hobby holiday hollow honest honey honor horizon horse hospital hotel
household housing however hundred hunger hungry hunter hurry husband ideal identify image imagine immediate import
important impress improve include income increase independent industry infant inform injury innocent insect inside
inspect inspire install instant instead instrument intend interest interior internal interview introduce invent invite
island issue itself ivory jacket jealous jewel jewelry journal journey judge juice jungle junior justice kettle
keyboard kidney kingdom kitchen kitten knife knowledge label ladder language lantern large later laughter laundry
lawyer layer leader league learn leather lecture legend leisure lemon lesson letter lettuce level liberty library
license light lightning limit linen liquid listen literature little living lizard local logic lonely lottery lovely
lower loyal luggage lumber lunch luxury machine magazine magic magnet mailbox maintain major manage manner mansion
maple marble margin marine market marriage marvel master material mathematics matter mayor meadow meaning measure
mechanic medal medicine medium member memory mention merchant message metal method middle midnight might military
million mineral minister minute miracle mirror missing mistake mixture mobile model modern modest moment money monkey
monster month monument moonlight morning mosquito mother motion motor mountain mouse mouth movement movie multiply
muscle museum mushroom music musician mystery napkin narrow nation native nature naughty nearby necessary necklace
needle negative neighbor neither nephew nervous network neutral never newspaper night nightmare nineteen noble nobody
noise normal northern notebook nothing notice novel number nurse object oblige observe obtain obvious occasion occupy
ocean offend offer office officer often onion opening opera operate opinion opposite orange orbit orchard orchestra
order ordinary organ organize origin ostrich other ourselves outdoor outside overcome owner oxygen oyster package
painful painter palace pancake panel paper parade parent parking parrot partner party passage passenger passion
pasture patient pattern payment peaceful peanut pencil penguin people pepper perfect perform perhaps period permit
person phone photograph physical piano picnic picture piece pigeon pillow pilot pirate pitch place planet plant
plastic plate platform player pleasant please pleasure plenty plumber pocket poetry point police polite political
pollution popular portion portrait position positive possible postcard potato pottery poverty powder power practice
praise prayer precious predict prefer prepare present preserve president pretend pretty prevent price pride priest
prince princess printer prison private prize problem process produce professor profit program progress project promise
proof proper property protect protest proud provide public publish pudding pumpkin punish puppet purchase purple
purpose puzzle pyramid quality quantity quarrel quarter queen question quick quiet quilt quite rabbit radio railway
rainbow raise random range rapid rather reach reaction reader ready really reason receive recent recipe recognize
recommend record recover reduce reflect refuse region regret regular reject relation relax release relief remain
remark remember remind remote remove repair repeat replace reply report represent republic request rescue research
resist respect respond restaurant result retire return reveal reward rhythm ribbon ridge right river robin rocket
rough round route royal rubber runner sadness safety sailor salad salmon sandwich satellite satisfy sauce sausage
scale scene schedule school science scientist scissors score season second secret section security select senior sense
sentence separate serious servant service settle seven several severe shadow shallow shape share sharp sheep shelter
shine shirt shock shore short shoulder shout shower signal silence silver similar simple since singer single sister
skeleton sketch skill sleep slender slice slight small smile smoke smooth snake soccer social society soldier solid
solution somebody something sometimes sorrow sound source southern space speaker special speech speed spider spinach
spirit splendid spoon sport spread spring square squirrel stable stadium staff stage station statue steady steam still
stomach stone storage storm story straight strange stranger strawberry stream street strength stretch strike string
strong student studio study style subject success sudden suffer sugar suggest suitable summer sunflower sunlight
sunshine supper supply support suppose surface surgeon surprise surround survey survive swallow sweater sweet swimming
symbol sympathy system table talent tallest target taste teacher telephone television temper temple tender tennis
terrible territory texture theater themselves theory therefore thick thief thirsty thirteen thought thousand thread
threat through thunder ticket tiger timber tobacco today together tomato tomorrow tongue tonight toward towel tower
tractor tradition traffic train transfer translate transport travel treasure treat trial triangle trouble trousers
trumpet trust truth tunnel turkey turtle twelve twenty twice typical umbrella uncle under understand uniform union
universe university unknown unless until upper upset upstairs urban useful usual vacant vacation valley valuable value
vanish variety vegetable vehicle velvet victim victory video village vinegar violent violin virtue visible vision
visitor volcano volume volunteer voyage waist waiter walnut wander warmth warning waste watch waterfall watermelon
wealth weapon weather wedding weekend weigh welcome western whale wheat wheel whenever whether whisper whistle whole
widow willing window winner winter wisdom without witness woman wonder wonderful wooden worker world worry worth wound
wrist writer wrong yellow yesterday yield young yourself youth zebra
"""
COMMON_WORDS = tuple(TEXT.split())

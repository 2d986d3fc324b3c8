// Everything the page says, in English and Chinese. A function makes a sentence from facts.

const count = number => number.toLocaleString("en-US");
const square = edge => `${edge}×${edge}`;
const percent = share => `${(100 * share).toFixed(1)} %`;

const windowName = {
  en: w => `${w.kernel.join("×")}${w.stride[0] > 1 ? ` (stride ${w.stride[0]})` : ""}`,
  zh: w => `${w.kernel.join("×")}${w.stride[0] > 1 ? `（步幅 ${w.stride[0]}）` : ""}`,
};

export const words = {
  en: {
    language: "en",
    skip: "Skip to the result",
    title: "Network in Network at work",
    lead: "Show the chapter’s net a garment. Its last block draws one map for each of the ten " +
      "classes. The average of a map is the score of its class; the scores become probabilities.",
    picture: "1. A picture",
    pad: "Drawing pad, 28 by 28 steps",
    padHelp: "Draw in light strokes on black; fill the garment. By keyboard: arrow keys move the " +
      "brush, Space puts it down and lifts it.",
    penDown: "brush down", penUp: "brush up",
    clear: "Clear", eraser: "Eraser", brush: "Brush", colour: "Colour",
    choose: "Choose a picture …",
    drop: "Or drop a picture anywhere on the page, or paste one. It stays on this machine.",
    invert: "Invert a file", invertAuto: "as needed", invertYes: "always", invertNo: "never",
    testImages: "Test images", drawnImages: "Drawn samples",
    heldOutImages: "Training images that were held out",
    imageName: (number, label) => `Image ${number}: ${label}`,
    others: "Other images",
    net: "2. A net", which: "Net", pretrained: "pretrained (comes with the package)",
    facts: (net, title) => `${net.model}, trained on ` +
      (net.limit ? `the first ${count(net.limit)} images of ${title}` : title) +
      ` at ${square(net.size)} pixels, ${net.epochs} ${net.epochs === 1 ? "epoch" : "epochs"}. ` +
      (net.accuracy === null ? "It has not been tested yet."
        : `Right on ${percent(net.accuracy)} of the ${net.held_out ? "held-out" : "test"} images.`),
    size: "Size of the image",
    pixels: edge => `${square(edge)} pixels`,
    sizeHelp: "The picture is enlarged to this size first. The average works on maps of any size, " +
      "so the same net takes them all.",
    sizeFixed: {
      dense: "This net ends in a dense layer, which is made for maps of one size. With global " +
        "average pooling the slider would move.",
      preprocess: "This net’s images are normalized in a way that is made for one size.",
    },
    result: "3. From maps to probabilities",
    waiting: "…",
    verdict: (name, share) => `The net sees: ${name} (${percent(share)})`,
    truth: (label, right) => right ? `Right: it is labelled ${label}.`
      : `Wrong: it is labelled ${label}.`,
    labelled: label => `The picture is labelled ${label}.`,
    tableCaption: "For each class: its map, the average of the map, and the probability",
    class: "Class", map: "Map", average: "Average = score", dense: "Score", probability: "Probability",
    mapText: (name, rows, columns, largest, where) => largest > 0
      ? `Map of ${name}, ${rows} by ${columns}: largest value ${largest} in row ${where[0]}, ` +
        `column ${where[1]}` : `Map of ${name}, ${rows} by ${columns}: zero everywhere`,
    overlay: (name, rows, columns, step, seen, size) =>
      `The map of ${name} over the picture. Its ${rows}×${columns} squares lie ${step} pixels ` +
      `apart in the ${square(size)} image, and each sees ${square(seen)} pixels around it.`,
    dark: "0", legend: largest => `${largest}, the largest value in the ten maps`,
    softmax: "From scores to probabilities (softmax): e is raised to the power of each score, and " +
      "the results are divided by their sum. A score that is larger by 1 is 2.7 times as probable.",
    layers: "4. Layer by layer",
    layersLead: "What each layer makes of this picture. Shown are the twelve channels that respond " +
      "most, on one scale for each layer.",
    channels: shape => shape.length === 3 ? `${count(shape[0])} ${shape[0] === 1 ? "channel" :
      "channels"} of ${shape[1]}×${shape[2]}` : `${count(shape[0])} numbers`,
    living: (living, all) => living === all ? "" : `${living} of ${all} channels respond at all.`,
    montage: (name, channels) => `${name}: channels ${channels.join(", ")}`,
    input: "The picture, enlarged",
    block: windows => `NiN block: convolution ${windows.map(windowName.en).join(", ")}`,
    pooled: w => `, then pooling ${windowName.en(w)}`,
    max: w => `Max pooling ${windowName.en(w)}`,
    mean: w => `Average pooling ${windowName.en(w)}`,
    dropout: "Dropout", gap: "Global average pooling", flatten: "Flatten", denseLayer: "Dense layer",
    about: {
      block: "The first convolution compares a window with each of its patterns. The 1×1 " +
        "convolutions after it mix the channels, place by place: a little net within the net.",
      last: "The last block has as many channels as there are classes. These are the maps above.",
      max: "Keeps the largest value of each window: fewer places, as many channels.",
      mean: "Keeps the average of each window: fewer places, as many channels.",
      dropout: "Does nothing here. In training it sets values to zero at random.",
      gap: "Each map becomes one number, its average. There is nothing to learn in this layer.",
      flatten: "Puts the numbers in a row.",
      denseLayer: "Weighs every value of every map into the scores.",
    },
    behind: "5. What is behind it",
    paragraphs: [
      "Earlier nets, such as AlexNet and VGG, end in large dense layers. They hold most of the " +
      "parameters, overfit easily, and accept images of one size only.",
      "Network in Network leaves them out. Its last block has one channel for each class, and the " +
      "score is simply the average of that channel. So the net has to answer for every place: " +
      "“how much does this look like a boot here?” That is why its maps can be looked at.",
      "Because an average can be taken of any number of values, the image may have any size above " +
      "the smallest. Move the slider: the maps get more squares, the score stays their average.",
      "A map need not lie on the object. Every square sees a large part of the image, often all of " +
      "it, and padding at the border counts too.",
    ],
    notes: {
      inverted: "The picture is dark on light. It was inverted, because the training images are " +
        "light on black.",
      otherSize: (size, trained) => `The net was trained at ${square(trained)} pixels and has never ` +
        `seen images of ${square(size)}, so it may be wrong more often.`,
      drawnNet: "This net has only ever seen the drawn garments of the built-in sample. Of " +
        "photographs and of your drawings it knows nothing.",
      drawnImage: title => `This is a drawing from the package, because ${title} is not on this ` +
        "machine. The net was trained on photographs, so its answer means little.",
      drawing: { "fashion-mnist": "The net was trained on small grey photographs of garments, " +
        "not on drawings. It may be sure and still be wrong.",
        cifar10: "The net was trained on small colour photographs of animals and vehicles, not on " +
        "drawings. It may be sure and still be wrong." },
      file: { "fashion-mnist": "The net was trained on shop photographs of single garments, 28×28 " +
        "pixels, light on black. The less your picture is like them, the less its answer means.",
        cifar10: "The net was trained on colour photographs of animals and vehicles, 32×32 pixels. " +
        "The less your picture is like them, the less its answer means." },
      always: number => `It knows ${number} classes only, and names one of them whatever it is shown.`,
      nothing: number => `All maps are zero, so each of the ${number} classes gets the same ` +
        "probability: the net has found nothing that it knows.",
      early: (done, planned) => `This run has done ${done} of ${planned} epochs.`,
      weak: net => `It is right on ${percent(net.accuracy)} of the ` +
        `${net.held_out ? "held-out" : "test"} images only.`,
    },
    titles: { "fashion-mnist": "Fashion-MNIST", cifar10: "CIFAR-10",
      sample: "the built-in sample of drawn garments" },
    errors: {
      large: "The picture has more than 20 million bytes. Make it smaller.",
      empty: "Nothing that is a file was dropped.",
      offline: "The server does not answer. Is nin-gluon demo still running?",
      unexpected: "Something went wrong in the server. Its terminal says what.",
    },
    classes: {},
  },

  zh: {
    language: "zh-CN",
    skip: "跳到结果",
    title: "看 NiN 怎样认图",
    lead: "给“网络中的网络（NiN）”看一件衣物。网络的最后一个块为十个类别各输出一张特征图；对特征图取平均，" +
      "就得到该类别的得分，得分再换算成概率。",
    picture: "1. 图片",
    pad: "画板，28×28 格",
    padHelp: "用浅色笔画在黑底上，最好把衣物涂满。也可以用键盘：方向键移动画笔，空格键落笔、提笔。",
    penDown: "已落笔", penUp: "已提笔",
    clear: "清空", eraser: "橡皮", brush: "笔粗", colour: "颜色",
    choose: "选择图片…",
    drop: "也可以把图片拖到页面上任意位置，或者直接粘贴。图片不会离开本机。",
    invert: "反色（文件）", invertAuto: "自动", invertYes: "总是", invertNo: "从不",
    testImages: "测试图片", drawnImages: "自带的样例（程序绘制）", heldOutImages: "留出的训练图片",
    imageName: (number, label) => `图片 ${number}：${label}`,
    others: "换一批",
    net: "2. 网络", which: "网络", pretrained: "预训练模型（随软件包提供）",
    facts: (net, title) => `${net.model}，训练数据：${title}` +
      (net.limit ? `的前 ${count(net.limit)} 张图片` : "") +
      `，输入 ${square(net.size)} 像素，共 ${net.epochs} 个迭代周期。` +
      (net.accuracy === null ? "尚未测试。"
        : `${net.held_out ? "验证" : "测试"}准确率 ${percent(net.accuracy)}。`),
    size: "图片尺寸",
    pixels: edge => `${square(edge)} 像素`,
    sizeHelp: "图片先放大到这个尺寸再送入网络。特征图多大都能取平均，所以同一个网络可以接受各种尺寸。",
    sizeFixed: {
      dense: "这个网络以全连接层结尾，只能接受一种尺寸的图。换成全局平均池化，滑块就能移动了。",
      preprocess: "这个网络的预处理只适用于一种尺寸，所以不能改变。",
    },
    result: "3. 从特征图到概率",
    waiting: "…",
    verdict: (name, share) => `网络认为是：${name}（${percent(share)}）`,
    truth: (label, right) => right ? `答对了，标签是“${label}”。` : `答错了，标签是“${label}”。`,
    labelled: label => `这张图片的标签是“${label}”。`,
    tableCaption: "各类别的特征图、特征图的平均值和概率",
    class: "类别", map: "特征图", average: "平均值 = 得分", dense: "得分", probability: "概率",
    mapText: (name, rows, columns, largest, where) => largest > 0
      ? `${name}的特征图，${rows}×${columns}，最大值 ${largest}，在第 ${where[0]} 行第 ${where[1]} 列`
      : `${name}的特征图，${rows}×${columns}，全部为零`,
    overlay: (name, rows, columns, step, seen, size) =>
      `${name}的特征图叠加在图片上，共 ${rows}×${columns} 格。在 ${square(size)} 的输入中，相邻两格相距 ` +
      `${step} 像素，每一格的感受野为 ${square(seen)} 像素。`,
    dark: "0", legend: largest => `${largest}（十张特征图中的最大值）`,
    softmax: "得分换算成概率用的是 softmax：以 e 为底、各得分为指数求幂，再除以它们的总和。一个类别的得分比另一个高 1，" +
      "概率就是它的 2.7 倍。",
    layers: "4. 逐层观察",
    layersLead: "这张图片经过每一层之后的样子。每层只显示响应最强的 12 个通道，同一层的通道用同一个色标。",
    channels: shape => shape.length === 3 ? `${count(shape[0])} 个通道，每个 ${shape[1]}×${shape[2]}`
      : `${count(shape[0])} 个数`,
    living: (living, all) => living === all ? "" : `${all} 个通道中有 ${living} 个有响应。`,
    montage: (name, channels) => `${name}：通道 ${channels.join("、")}`,
    input: "放大后的图片",
    block: windows => `NiN 块：卷积 ${windows.map(windowName.zh).join("、")}`,
    pooled: w => `，再做池化 ${windowName.zh(w)}`,
    max: w => `最大池化 ${windowName.zh(w)}`,
    mean: w => `平均池化 ${windowName.zh(w)}`,
    dropout: "丢弃法（dropout）", gap: "全局平均池化", flatten: "展平", denseLayer: "全连接层",
    about: {
      block: "第一个卷积层在每个窗口里寻找各种图案；后面的 1×1 卷积层在每个像素上混合各通道，" +
        "相当于在网络里又嵌了一个小网络。",
      last: "最后一个块的通道数等于类别数，这些通道就是上面的特征图。",
      max: "每个窗口只留最大值：高和宽变小，通道数不变。",
      mean: "每个窗口取平均值：高和宽变小，通道数不变。",
      dropout: "预测时不起作用；训练时随机把一部分值置零。",
      gap: "每张特征图变成一个数，也就是它的平均值。这一层没有需要学习的参数。",
      flatten: "把这些数排成一行。",
      denseLayer: "把所有特征图的所有值加权求和，得到各类得分。",
    },
    behind: "5. 其中的道理",
    paragraphs: [
      "AlexNet、VGG 等较早的网络以很大的全连接层结尾：参数大部分在那里，容易过拟合，而且只能接受一种尺寸的图片。",
      "NiN 去掉了这些全连接层。最后一个块的通道数等于类别数，每个通道的平均值就是该类别的得分。于是网络在每个位置上都要" +
      "回答：“这里有多像短靴？”正因为如此，我们才能直接查看这些特征图。",
      "多少个值都可以取平均，所以只要不小于最小尺寸，图片多大都行。试着移动滑块：特征图的格子变多了，得分仍然是它们的平均值。",
      "特征图的亮处不一定正好落在物体上：每一格的感受野都很大，往往覆盖整张图片，边缘的填充也有影响。",
    ],
    notes: {
      inverted: "这张图片是浅底深色。训练图片是黑底浅色，所以已自动反色。",
      otherSize: (size, trained) => `网络是用 ${square(trained)} 像素的图片训练的，没有见过 ` +
        `${square(size)} 的图片，可能更容易出错。`,
      drawnNet: "这个网络只见过自带的样例（由程序绘制），没有见过照片，也没有见过你画的图。",
      drawnImage: title => `本机没有 ${title}，这里用的是自带的样例（由程序绘制）。网络是用照片训练的，所以这个结果意义不大。`,
      drawing: { "fashion-mnist": "网络是用小幅灰度衣物照片训练的，没有见过手绘图。它给出的概率再高，也可能是错的。",
        cifar10: "网络是用动物和交通工具的小幅彩色照片训练的，没有见过手绘图。它给出的概率再高，也可能是错的。" },
      file: { "fashion-mnist": "训练图片是 28×28 像素、黑底浅色的单件衣物商品照。你的图片与它们差别越大，结果就越不可信。",
        cifar10: "训练图片是 32×32 像素的动物和交通工具彩色照片。你的图片与它们差别越大，结果就越不可信。" },
      always: number => `它只认识 ${number} 个类别，无论看到什么，都会从中选一个。`,
      nothing: number => `所有特征图都是零，${number} 个类别的概率相同：网络没有认出任何东西。`,
      early: (done, planned) => `这次训练只完成了 ${planned} 个迭代周期中的 ${done} 个。`,
      weak: net => `它的${net.held_out ? "验证" : "测试"}准确率只有 ${percent(net.accuracy)}。`,
    },
    titles: { "fashion-mnist": "Fashion-MNIST", cifar10: "CIFAR-10", sample: "自带的样例（程序绘制）" },
    errors: {
      picture: "这张图片读不出来：它不是支持的图片格式（PNG、JPEG、GIF、BMP、TIFF、WEBP、PPM、JPEG2000），" +
        "或者已经损坏，或者超过 6400 万像素。",
      large: "图片超过 2000 万字节，请先缩小。",
      empty: "拖放的内容不是文件。",
      net: "这个网络无法加载，原因见英文说明：",
      diverged: "这个网络的得分不是有限的数：它的训练已经发散。",
      size: "这个网络不能使用这个尺寸。",
      request: "请求有误。",
      offline: "服务器没有响应。nin-gluon demo 还在运行吗？",
      unexpected: "服务器出错了，原因见启动它的终端。",
    },
    classes: {
      "t-shirt": "T恤", trouser: "裤子", pullover: "套衫", dress: "连衣裙", coat: "外套",
      sandal: "凉鞋", shirt: "衬衫", sneaker: "运动鞋", bag: "包", "ankle boot": "短靴",
      airplane: "飞机", automobile: "汽车", bird: "鸟", cat: "猫", deer: "鹿", dog: "狗",
      frog: "青蛙", horse: "马", ship: "船", truck: "卡车",
    },
  },
};
